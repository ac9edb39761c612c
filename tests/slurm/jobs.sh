# shellcheck shell=bash
# jobs.sh - sourced by run.sh: jobs that prune the demonstration's model, and ways to look at them.
# Uses source, folder, lane, COPPICE.

# Open MPI as root, on fewer cores than ranks, and between namespaces over TCP.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_mpi_yield_when_idle=1
job_environment="OMPI_MCA_btl=self,vader,tcp OMPI_MCA_btl_tcp_if_include=eth0 OMPI_MCA_oob_tcp_if_include=eth0"
job_environment+=" OMPI_MCA_pml=ob1 OMPI_MCA_orte_tmpdir_base=/dev/shm"

fail() {
  echo "$*" >&2
  exit 1
}

# wait_until SECONDS COMMAND...: until the command succeeds; false when the time is over.
wait_until() { await_every 0.1 "$@"; }

# slowly SECONDS: a program to submit that does as coppice does and stops so long before each mask: it can be struck in
# the middle however fast the machine is, and leaves the machine to others meanwhile.
slowly() {
  local program=$folder/coppice-waits-$1 interpose
  interpose=$(dirname "$COPPICE")/tests/interpose.so
  [ -e "$program" ] || {
    printf '#!/bin/sh\nexec env LD_PRELOAD=%q FAULT_PAUSE="*/masks/*" FAULT_PAUSE_FOR=%s %q "$@"\n' "$interpose" "$1" \
      "$COPPICE" >"$program.$BASHPID"
    chmod +x "$program.$BASHPID"
    mv "$program.$BASHPID" "$program"
  }
  echo "$program"
}

# write_job FOLDER PROPAGATION SEQUENCES METHODS: FOLDER/job.yaml, with its run directory and models next to it.
write_job() {
  mkdir -p "$1"
  cat >"$1/job.yaml" <<YAML
model: $source/jobs/demo/kjv-llama-1m
run: $1/run
output: $1/models
calibration:
  corpus: $source/jobs/demo/train.jsonl
  sequences: $3
  length: 256
prune:
  method: $4
  sparsity: 0.5
  propagation: $2
compensate:
  energy: [columns, rows]
  guard: false   # which would keep a second copy of a layer: test_placement counts them
evaluate:
  perplexity: $folder/test.jsonl
YAML
}

write_pruned_job() { write_job "$1" pruned 12 "[wanda, cvr]"; }
write_dense_job() { write_job "$1" dense 12 "[magnitude, wanda, cvr]"; }
# No text for a perplexity, but a task.
write_tasks_job() {
  write_job "$1" dense 16 "[wanda, cvr]"
  sed -i "/^output:/d; s#^  perplexity: .*#  tasks: [$source/tests/golden/tasks/boolq.jsonl]#" "$1/job.yaml"
}

# make_references TEST...: what each kind of job comes to when nothing disturbs it.
make_references() {
  local kind kinds=(pruned)
  if [[ " $* " =~ \ (chain|array)\  ]]; then kinds+=(dense); fi
  if [[ " $* " == *" tasks "* ]]; then kinds+=(tasks); fi
  for kind in "${kinds[@]}"; do
    "write_${kind}_job" "$folder/reference-$kind"
    "$COPPICE" run --quiet "$folder/reference-$kind/job.yaml" >"$folder/reference-$kind/log" 2>&1
    sums "$folder/reference-$kind" >"$folder/$kind.sums.new"
    mv "$folder/$kind.sums.new" "$folder/$kind.sums"
  done
}

# Checksums of all that a job makes, without what names its folder or the time.
sums() {
  local made=(run/statistics run/masks run/weights run/results)
  if [ -d "$1/models" ]; then made+=(models); fi
  (cd "$1" && find "${made[@]}" -type f \
    ! -name coppice.json ! -name lock -print0 | sort -z | xargs -0 sha256sum)
}

# same_as KIND FOLDER: the job in FOLDER has made the same bytes as the undisturbed one.
same_as() {
  wait_until 150 test -e "$folder/$1.sums" || fail "there is no reference: $(cat "$folder/reference-$1/log")"
  sums "$2" | diff "$folder/$1.sums" - || fail "the bytes differ from those of an undisturbed run"
}

# submit FOLDER [options]: slurm/submit.sh on the login node; prints what it prints. Job ids go to FOLDER/id.NAME.
submit() {
  local job=$1 name id
  shift
  on ctl "$source/slurm/submit.sh" "$job/job.yaml" --coppice "$COPPICE" --logs "$job" --launcher mpirun \
    --environment "$job_environment" "$@" >"$job/submitted" || return
  while read -r name _ id; do echo "$id" >"$job/id.$name"; done < <(grep ' job [0-9]*$' "$job/submitted")
}

id_of() { cat "$1/id.$2"; }
log_of() { echo "$1/coppice-run-$2-$(id_of "$1" "$2").log"; } # the run directory is called run

# field ID NAME: of scontrol show job, such as JobState, Restarts, ExitCode.
field() { on ctl scontrol -o show job "$1" | sed -n "1s/.* $2=\([^ ]*\).*/\1/p"; }
state_is() { [ "$(field "$1" JobState)" = "$2" ]; }
is_over() { [[ "$(field "$1" JobState)" =~ ^(COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL|OUT_OF_MEMORY)$ ]]; }
all_idle() { [ "$(on ctl sinfo -h -p batch -t idle -o %D)" = 3 ]; }

# Units that the job has finished.
units() { grep -c '"event":"unit"' "$1/run/log.jsonl" 2>/dev/null || true; }
has_units() { [ "$(units "$1")" -ge "$2" ] 2>/dev/null; }
halfway() { wait_until 90 has_units "$1" "$2" || fail "the job did not get on: $(tail -n 20 "$1"/*.log)"; }

# ends ID STATE: the job ends so, soon.
ends() {
  wait_until 150 is_over "$1" || fail "job $1 is still $(field "$1" JobState)"
  state_is "$1" "$2" || fail "job $1 is $(field "$1" JobState), exit code $(field "$1" ExitCode), not $2"
}

# failed_for_good ID CODE: the job failed with the program's exit code and was not tried again.
failed_for_good() {
  ends "$1" FAILED
  [ "$(field "$1" ExitCode)" = "$2:0" ] || fail "job $1 ended with $(field "$1" ExitCode), not $2"
  [ "$(field "$1" Restarts)" = 0 ] || fail "job $1 was started again"
}

says() { grep -q -e "$2" "$1" || fail "$1 does not say '$2': $(tail -n 20 "$1")"; }

# How often the job started again.
restarted() { [ "$(field "$1" Restarts)" -ge 1 ] || fail "job $1 was not started again"; }
