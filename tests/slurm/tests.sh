# shellcheck shell=bash
# tests.sh - sourced by run.sh: the tests. Each runs in a subshell of its own, on an idle cluster of three nodes with
# two cores each; a command that fails ends it.

# ---- the three ways to submit --------------------------------------------------------------------------------

test_one_job() {
  local job=$lane/one
  write_pruned_job "$job"
  submit "$job" --nodes 2
  halfway "$job" 3
  # On the login node there is no MPI launcher and the job is at work.
  on ctl env PATH=/usr/bin:/bin "$COPPICE" status "$job/run" >"$job/status"
  says "$job/status" calibrate
  ends "$(id_of "$job" run)" COMPLETED
  says "$(log_of "$job" run)" "4 ranks on node\[1-2\]"
  same_as pruned "$job"
}

test_chain() {
  local job=$lane/chain stage
  write_dense_job "$job"
  # What --dry-run prints is a script that does the same; nothing is submitted before it runs.
  submit "$job" --chain --dry-run --nodes 2
  [ "$(grep -c '^[a-z]*_id=$(sbatch ' "$job/submitted")" = 5 ] || fail "not five stages: $(cat "$job/submitted")"
  [ -z "$(on ctl squeue -h)" ] || fail "a dry run has submitted something"
  submit "$job" --chain --nodes 2
  for stage in calibrate score compensate evaluate export; do ends "$(id_of "$job" "$stage")" COMPLETED; done
  says "$(log_of "$job" evaluate)" "^cvr"
  same_as dense "$job"
}

test_array() {
  local job=$lane/array sweep task
  write_dense_job "$job"
  submit "$job" --array --nodes 1
  sweep=$(id_of "$job" sweep)
  ends "$(id_of "$job" table)" COMPLETED
  for task in 1 2 3; do
    state_is "${sweep}_$task" COMPLETED
    [ "$(grep -c ' start 1 of: coppice run .* --variant ' "$job/coppice-sweep-${sweep}_$task.log")" = 1 ]
  done
  says "$(log_of "$job" table)" "^cvr"
  same_as dense "$job"
}

# ---- being told to stop ----------------------------------------------------------------------------------------

test_time_limit() {
  local job=$lane/limit id
  write_long_job "$job"
  # Slurm looks at time limits every 30 s after its start: begin shortly before it does.
  wait_until 60 near_the_tick
  submit "$job" --nodes 1 --ntasks-per-node 1 --time 1 --signal 50
  id=$(id_of "$job" run)
  wait_until 90 grep -qs "stopped early (exit code 75); requeueing (1 of" "$(log_of "$job" run)" ||
    fail "was not told to stop: $(cat "$(log_of "$job" run)")"
  on ctl scontrol update JobId="$id" TimeLimit=10
  ends "$id" COMPLETED
  restarted "$id"
  same_as long "$job"
}
near_the_tick() { [ $(((SECONDS - lane_began) % 30)) -ge 23 ]; }

test_preempted() {
  local job=$lane/preempted id
  write_pruned_job "$job"
  submit "$job" --nodes 3 --ntasks-per-node 1
  id=$(id_of "$job" run)
  halfway "$job" 3
  on ctl sbatch -p urgent --nodes 3 --exclusive --mem 3000 -o /dev/null --wrap 'true'
  ends "$id" COMPLETED
  restarted "$id"
  same_as pruned "$job"
}

test_cancelled() {
  local job=$lane/cancelled id
  write_pruned_job "$job"
  submit "$job" --nodes 2 --ntasks-per-node 1
  halfway "$job" 3
  id=$(id_of "$job" run)
  on ctl scancel "$id"
  ends "$id" CANCELLED
  submit "$job" --nodes 1
  ends "$(id_of "$job" run)" COMPLETED
  same_as pruned "$job"
  state_is "$id" CANCELLED # and it has not come back
}

# ---- what breaks -----------------------------------------------------------------------------------------------

# survives FOLDER COMMAND...: a job on two nodes, the command when it is under way, and the right end nevertheless.
survives() {
  local job=$1 id
  shift
  write_pruned_job "$job"
  submit "$job" --nodes 2 --ntasks-per-node 1
  id=$(id_of "$job" run)
  halfway "$job" 3
  "$@"
  ends "$id" COMPLETED
  restarted "$id"
  same_as pruned "$job"
}

test_rank_killed() {
  survives "$lane/rank" on node2 pkill -9 -x coppice
  says "$(log_of "$lane/rank" run)" "a rank or a node was lost (exit code 137); requeueing (1 of"
}

test_node_off() {
  survives "$lane/node" node_off node2
  says "$(log_of "$lane/node" run)" "a rank or a node was lost (exit code 205); requeueing (1 of"
}

# Rank 0, mpirun and the batch script go; Slurm notices; the lock of the run directory is a minute old before it is taken.
test_batch_node_off() {
  survives "$lane/batch" node_off node1
  says "$(log_of "$lane/batch" run)" "coppice: waiting: "
}

test_network_cut() {
  survives "$lane/net" link node2 down
}

# ---- what must not go on ---------------------------------------------------------------------------------------

test_two_at_once() {
  local job=$lane/two first second
  write_pruned_job "$job"
  submit "$job" --nodes 1
  first=$(id_of "$job" run)
  halfway "$job" 2
  submit "$job" --nodes 1
  second=$(id_of "$job" run)
  ends "$second" FAILED
  [ "$(field "$second" ExitCode)" = 1:0 ] && [ "$(field "$second" Restarts)" = 0 ]
  says "$(log_of "$job" run)" "is in use by process"
  ends "$first" COMPLETED
  same_as pruned "$job"
}

test_failing_stage() {
  local job=$lane/failing stage
  write_dense_job "$job"
  mkdir "$job/run"
  touch "$job/run/masks" # a file where the folder must be
  submit "$job" --chain --nodes 1
  ends "$(id_of "$job" calibrate)" COMPLETED
  ends "$(id_of "$job" score)" FAILED
  [ "$(field "$(id_of "$job" score)" Restarts)" = 0 ]
  for stage in compensate evaluate export; do
    ends "$(id_of "$job" "$stage")" CANCELLED
    [ ! -e "$(log_of "$job" "$stage")" ] || fail "$stage has started"
  done
}

test_bad_input() {
  local job=$lane/bad id
  write_pruned_job "$job"
  # A job file with a mistake is refused before anything is queued.
  echo "sparsty: 0.5" >>"$job/job.yaml"
  if submit "$job" 2>"$job/errors"; then fail "was submitted"; fi
  says "$job/errors" "sparsty"
  [ -z "$(on ctl squeue -h)" ]
  # What only the job finds out ends it for good, with the program's exit code.
  write_pruned_job "$job"
  head -c 200 "$source/jobs/demo/train.jsonl" >"$job/short.jsonl"
  sed -i "s#corpus: .*#corpus: $job/short.jsonl#" "$job/job.yaml"
  submit "$job" --nodes 1
  id=$(id_of "$job" run)
  ends "$id" FAILED
  [ "$(field "$id" ExitCode)" = 3:0 ] && [ "$(field "$id" Restarts)" = 0 ]
}
