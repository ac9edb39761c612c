# mpi.sh - sourced by the scripts that start ranks: in what MPIs' launchers differ. Nothing else names them.

# mpi: whose mpirun this is. rank_in: the variable that tells a rank its number. quiet_option: what keeps the launcher from
# speaking of exit codes, where it has such an option.
case $(readlink -f "$(command -v mpirun)") in
  *orterun) mpi=openmpi-4 ;;
  *hydra*) mpi=hydra ;; # of MPICH, Intel MPI and MVAPICH
  *) mpi=openmpi-5 ;;
esac
quiet_option=
rank_in=OMPI_COMM_WORLD_RANK
case $mpi in
  openmpi-4) quiet_option=--quiet ;;
  hydra) rank_in=PMI_RANK ;;
esac
export rank_in # for `bash -c`: ${!rank_in}

# For `export`: Open MPI waits a second before it kills the ranks that are left. In tests they have nothing to do.
kill_at_once=OMPI_MCA_odls_base_sigkill_timeout=0

# without_launcher_lines: standard input less what mpirun itself says of ranks that ended badly: blocks between two lines
# of dashes (Open MPI) or of equal signs, and what Hydra puts around them. Open MPI 5's mpirun now and then says besides that it did
# not reach a rank which had just ended.
without_launcher_lines() {
  local cr=$'\r'
  sed -E -e "/^-{60,}$cr?\$/,/^-{60,}$cr?\$/d" -e "/^={60,}$cr?\$/,/^={60,}$cr?\$/d" \
    -e '/^YOUR APPLICATION TERMINATED WITH THE EXIT STRING/d' -e '/^This typically refers to a problem with your application/d' \
    -e '/^\[[^]]*\] PMIX ERROR: .* in file .*server\/pmix_server\.c/d' \
    -e '/^Please see the FAQ page for debugging suggestions/d' -e "/^$cr?\$/d"
}

# quieted COMMAND...: runs it, an mpirun with $quiet_option somewhere inside, and drops the launcher's own lines. Its exit code is
# the command's.
quieted() {
  if [ -n "$quiet_option" ]; then
    "$@"
    return
  fi
  { "$@" 2>&1 >&3 3>&- | without_launcher_lines >&2 3>&-; return "${PIPESTATUS[0]}"; } 3>&1
}
