# shellcheck shell=bash
# supervise.sh - sourced by the batch scripts: runs one coppice command inside a Slurm job and decides what comes next.
#
#   supervise COMMAND JOB [options]     returns when the command is done; otherwise the job requeues itself or ends
#
# * Slurm's early signal (sbatch --signal=B:USR1@SECONDS) is passed to all ranks, which finish or drop the unit in hand
#   and exit 75; the job then requeues itself and goes on where it stopped.
# * When a rank is killed or a node is lost, it requeues itself too, a few times.
# * A failed command, a wrong job file and bad input data are not tried again. Exit codes are the program's. A second stop
#   in a row before anything was committed is a failure, too: the program says so and ends with 1.
# * After scancel it does not come back. A preempted job is requeued by Slurm.
#
# Set by submit.sh, all optional:
#   COPPICE                  the program; default: coppice on the PATH
#   COPPICE_LAUNCHER         mpirun or srun; default: mpirun if there is one
#   COPPICE_LAUNCHER_OPTIONS more words for it
#   COPPICE_CONTAINER        an image (NAME.sif, NAME.img, a folder, docker://...) for apptainer or singularity, or words in
#                            front of the program, such as: apptainer exec --nv coppice.sif
#   COPPICE_BIND             folders that an image shall see beside those that it sees anyway, with commas
#   COPPICE_MODULES          environment modules to load
#   COPPICE_ENVIRONMENT      NAME=VALUE words to export
#   COPPICE_SET              KEY=VALUE words, each for coppice --set
#   COPPICE_NO_CHECK         yes: coppice --no-check
#   COPPICE_MAX_REQUEUES     how often the job may start again in all; default 20
#   COPPICE_MAX_FAILURES     how often after a rank or node was lost, or the program had to be killed; default 3
# Words are separated by blanks; quotes and backslashes hold them together, and nothing else means anything.

# In an array the number alone, of the task that has the array's, would mean all tasks.
me=${SLURM_ARRAY_TASK_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
me=${me:-${SLURM_JOB_ID:-none}}

say() {
  printf '%s job %s: %s\n' "$(date '+%F %T')" "$me" "$*" >&2
}

# split_words TEXT: fills `words`. False when a quote is not closed.
split_words() {
  words=()
  [[ $1 == *[![:space:]]* ]] || return 0
  xargs printf '' <<<"$1" 2>/dev/null || return 1
  mapfile -d '' -t words < <(xargs printf '%s\0' <<<"$1")
}

load_modules() {
  [ -n "${COPPICE_MODULES:-}" ] || return 0
  local setup
  for setup in /etc/profile.d/modules.sh /etc/profile.d/lmod.sh /usr/share/modules/init/bash; do
    # shellcheck disable=SC1090
    if ! command -v module >/dev/null && [ -r "$setup" ]; then . "$setup"; fi
  done
  split_words "$COPPICE_MODULES" && module load "${words[@]}"
}

# Fills `container` with the words in front of the program.
choose_container() {
  local text=${COPPICE_CONTAINER:-} runtime
  container=()
  [ -n "$text" ] || return 0
  if [[ $text == *.sif || $text == *.img || $text == *://* ]] && [[ -e $text || $text != *[[:space:]]* ]] || [ -d "$text" ]; then
    for runtime in apptainer singularity ''; do
      if [ -n "$runtime" ] && command -v "$runtime" >/dev/null; then break; fi
    done
    [ -n "$runtime" ] || { say "neither apptainer nor singularity is here, for the image $text"; return 1; }
    container=("$runtime" exec ${COPPICE_BIND:+--bind "$COPPICE_BIND"} "$text")
    return 0
  fi
  split_words "$text" || { say "a quote is not closed: $text"; return 1; }
  container=("${words[@]}")
}

# Fills `sets` with the options that stand over the job file.
choose_sets() {
  local word words
  sets=()
  split_words "${COPPICE_SET:-}" || { say "a quote is not closed: $COPPICE_SET"; exit 2; }
  for word in "${words[@]}"; do sets+=(--set "$word"); done
}

prepare_environment() {
  local word
  split_words "${COPPICE_ENVIRONMENT:-}" || { say "a quote is not closed: $COPPICE_ENVIRONMENT"; exit 2; }
  for word in "${words[@]}"; do
    [[ $word =~ ^[A-Za-z_][A-Za-z0-9_]*= ]] || { say "COPPICE_ENVIRONMENT: not NAME=VALUE: $word"; exit 2; }
    export "${word?}"
  done
  load_modules || { say "could not load the modules: $COPPICE_MODULES"; exit 1; }
  export OMP_NUM_THREADS="${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}}"
  # mpirun's own lines about exit codes would follow ours.
  export OMPI_MCA_orte_execute_quiet="${OMPI_MCA_orte_execute_quiet:-1}"
  # The default store of PMIx now and then fails to start under srun.
  export PMIX_MCA_gds="${PMIX_MCA_gds:-hash}"
}

# Fills the array `launch` with the words in front of the program.
choose_launcher() {
  local launcher=${COPPICE_LAUNCHER:-}
  if [ -z "$launcher" ]; then
    if command -v mpirun >/dev/null; then launcher=mpirun; else launcher=srun; fi
  fi
  launch=("$launcher")
  case $launcher in
  mpirun)
    if [ "${SLURM_CPUS_PER_TASK:-1}" -gt 1 ]; then launch+=(--map-by "slot:PE=$SLURM_CPUS_PER_TASK"); fi
    ;;
  srun)
    launch+=(--kill-on-bad-exit=1)
    if [ "${SLURM_CPUS_PER_TASK:-1}" -gt 1 ]; then launch+=(--cpus-per-task="$SLURM_CPUS_PER_TASK"); fi
    ;;
  *)
    say "COPPICE_LAUNCHER is $launcher; it can be mpirun or srun"
    exit 2
    ;;
  esac
  split_words "${COPPICE_LAUNCHER_OPTIONS:-}" || { say "a quote is not closed: $COPPICE_LAUNCHER_OPTIONS"; exit 2; }
  launch+=("${words[@]}")
  choose_container || exit 2
  launch+=("${container[@]}")
}

# The last thing that Slurm has told us: "", limit (its early signal) or end (scancel, preemption). mpirun and srun both pass USR1 on
# to every rank, on all nodes.
told='' interrupted='' program=''
trap 'told=${told:-limit}; interrupted=yes; kill -USR1 $program 2>/dev/null' USR1
trap 'told=end; interrupted=yes; kill -USR1 $program 2>/dev/null' TERM

# Runs the words, which become $program, and sets $status. A signal that is for us interrupts `wait`, not the program.
run_and_wait() {
  local result
  status=75
  [ -z "$told" ] || return 0
  "$@" &
  program=$!
  status=127
  while :; do
    interrupted=no
    wait "$program"
    result=$?
    [ "$result" = 127 ] && break # it was waited for already, at the moment of a signal
    status=$result
    [ "$interrupted" = no ] && break
  done
}

# Losses of earlier starts are counted in the job's comment, which Slurm keeps: squeue -O comment shows it.
losses_so_far() {
  scontrol show job "$me" | sed -n 's/^ *Comment=coppice: losses \([0-9]*\).*/\1/p'
}

# requeue WHY: the job starts again from the queue, or ends with $status when it has done so often enough.
requeue() {
  local starts=${SLURM_RESTART_COUNT:-0} most=${COPPICE_MAX_REQUEUES:-20}
  if [ "$starts" -ge "$most" ]; then
    say "$1; not requeued again after $starts times (COPPICE_MAX_REQUEUES=$most)"
    exit "$status"
  fi
  say "$1; requeueing ($((starts + 1)) of at most $most)"
  scontrol requeue "$me" || say "scontrol requeue failed"
  exit "$status"
}

# requeue_after_loss WHAT
requeue_after_loss() {
  local losses most=${COPPICE_MAX_FAILURES:-3}
  if scontrol show job "$me" | grep -q 'PreemptTime=[0-9]'; then requeue "preempted"; fi
  losses=$(losses_so_far)
  losses=$((${losses:-0} + 1))
  if [ "$losses" -gt "$most" ]; then
    say "$1 (exit code $status) for the ${losses}th time; giving up (COPPICE_MAX_FAILURES=$most)"
    exit "$status"
  fi
  scontrol update JobId="$me" Comment="coppice: losses $losses" || say "scontrol update failed"
  requeue "$1 (exit code $status)"
}

supervise() {
  local more=() limit words container sets
  prepare_environment
  choose_launcher
  choose_sets
  # A second guard, should the site's Slurm not send the early signal.
  limit=$(squeue -h -j "$me" -O TimeLeft 2>/dev/null | tr -d ' ')
  case $limit in 0:00) ;; *[0-9]:[0-9]*) more+=(--max-time "$limit") ;; esac
  # A start before this one that died with its node still holds the run directory for a minute.
  if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then more+=(--wait 120); fi

  if [ "${SLURM_CPUS_PER_TASK:-1}" -gt 1 ]; then more+=(--threads "$SLURM_CPUS_PER_TASK"); fi

  if [ "${COPPICE_NO_CHECK:-}" = yes ]; then more+=(--no-check); fi

  say "start $((${SLURM_RESTART_COUNT:-0} + 1)) of: coppice $* (${SLURM_NTASKS:-1} ranks on ${SLURM_JOB_NODELIST:-here})"
  run_and_wait "${launch[@]}" "${COPPICE:-coppice}" "$@" "${sets[@]}" "${more[@]}"
  if [ "$status" = 0 ]; then return 0; fi
  if [ "$told" = end ]; then
    say "told to end (exit code $status); submit the same job again to go on"
  elif [ "$status" = 75 ]; then
    requeue "stopped early (exit code $status)"
  elif [ "$status" -gt 128 ] && [ "$told" = limit ]; then
    requeue_after_loss "had to be killed at the time limit"
  elif [ "$status" -gt 128 ]; then
    requeue_after_loss "a rank or a node was lost"
  else
    say "coppice $1 failed with exit code $status"
  fi
  exit "$status"
}
