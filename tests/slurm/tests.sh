# shellcheck shell=bash
# tests.sh - sourced by run.sh: the tests. Each runs in a subshell of its own, on an idle cluster of three nodes with
# two cores each; a command that fails ends it.

# ---- the three ways to submit --------------------------------------------------------------------------------

test_one_job() {
  local job=$lane/one
  write_pruned_job "$job"
  submit "$job" --nodes 2 --mail user@example.org --coppice "$(slowly 0.4)"
  [ "$(field "$(id_of "$job" run)" JobName)" = run-run ] || fail "called $(field "$(id_of "$job" run)" JobName)"
  halfway "$job" 3
  # On the login node there is no MPI launcher and the job is at work.
  on ctl env PATH=/usr/bin:/bin "$COPPICE" status "$job/run" >"$job/status"
  says "$job/status" calibrate
  says "$job/status" "on node1, Slurm job $(id_of "$job" run)"
  ends "$(id_of "$job" run)" COMPLETED
  says "$(log_of "$job" run)" "4 ranks on node\[1-2\]"
  wait_until 20 grep -qs "Name=run-run Ended.* user@example.org" "$lane/c/letters" || fail "no mail: $(cat "$lane/c/letters")"
  same_as pruned "$job"
}

test_chain() {
  local job=$lane/chain stage
  write_dense_job "$job"
  # --dry-run prints a script that does the same; nothing is submitted before it runs.
  submit "$job" --chain --dry-run --nodes 2
  [ "$(grep -c '^[a-z]*_id=$(sbatch ' "$job/submitted")" = 5 ] || fail "not five stages: $(cat "$job/submitted")"
  # Slurm was asked, and would take them; what it would not take is refused.
  [ "$(grep -c '^# Job [0-9]* to start at .* in partition batch' "$job/submitted")" = 5 ] || fail "$(cat "$job/submitted")"
  if submit "$job" --chain --dry-run --partition nowhere 2>"$job/errors"; then fail "a partition that is not there"; fi
  says "$job/errors" "sbatch would refuse the job calibrate: .*partition"
  [ -z "$(on ctl squeue -h)" ] || fail "a dry run has submitted something"
  submit "$job" --chain --nodes 2
  for stage in calibrate score compensate evaluate export; do ends "$(id_of "$job" "$stage")" COMPLETED; done
  says "$(log_of "$job" evaluate)" "^cvr"
  same_as dense "$job"
}

test_array() {
  local job=$lane/array sweep
  write_dense_job "$job"
  submit "$job" --array --nodes 1
  sweep=$(id_of "$job" sweep)
  ends "$(id_of "$job" table)" COMPLETED
  # This site allows two elements: the second has the third variant.
  state_is "${sweep}_1" COMPLETED
  state_is "${sweep}_2" COMPLETED
  says "$job/coppice-run-sweep-${sweep}_1.log" ' start 1 of: coppice run .* --variant [^ ]* --variant [^ ]* '
  says "$job/coppice-run-sweep-${sweep}_2.log" ' start 1 of: coppice run .*job.yaml --variant cvr'
  says "$(log_of "$job" table)" "^cvr"
  same_as dense "$job"
}

# A job with tasks and without a text for a perplexity is evaluated, in both ways, and ends with a table.
test_tasks() {
  local chain=$lane/tasks-chain array=$lane/tasks-array
  write_tasks_job "$chain"
  write_tasks_job "$array"
  submit "$chain" --chain --nodes 1
  submit "$array" --array --nodes 1
  ends "$(id_of "$chain" evaluate)" COMPLETED
  says "$(log_of "$chain" evaluate)" "^cvr"
  same_as tasks "$chain"
  ends "$(id_of "$array" table)" COMPLETED
  says "$(log_of "$array" table)" "^cvr"
  same_as tasks "$array"
}

# From an installed tree that was moved, by its link in bin, in another folder; names with blanks, quotes and what a shell
# would carry out; settings of the environment; and no coppice on the login node: a first job makes the plan.
test_installed() {
  [ -e "$(dirname "$COPPICE")/cmake_install.cmake" ] || { echo "$COPPICE is not in a build folder"; return; }
  local job="$lane/an \"odd\" \$(touch carried-out) 'name'" tree="$lane/a tree" id
  mkdir -p "$job" "$lane/on nodes"
  cmake --install "$(dirname "$COPPICE")" --prefix "$lane/somewhere" >/dev/null
  mkdir "$tree"
  mv "$lane/somewhere" "$tree/in stalled"
  write_dense_job "$lane/plain"
  sed "/^output:/d; s#^run: .*#run: '${job//\'/\'\'}/run'#" "$lane/plain/job.yaml" >"$job/the job.yaml"
  for id in node1 node2 node3; do on "$id" mount --bind "$(dirname "$COPPICE")" "$lane/on nodes"; done
  cat >"$lane/my settings" <<TEXT
# of mine
coppice=$lane/on nodes/coppice
logs=logs of $$
launcher=mpirun
environment=$job_environment COPPICE_TEST='two words'
time=1h
TEXT
  (cd "$job" && on ctl env COPPICE_SLURM_SETTINGS="$lane/my settings" "$tree/in stalled/bin/coppice-submit" "the job.yaml" \
    --nodes 1) >"$job/submitted" 2>"$job/errors"
  says "$job/errors" "does not run here: a first job makes the plan"
  id=$(sed -n 's/^plan *job //p' "$job/submitted")
  ends "$id" COMPLETED
  for id in $(sed -n 's/^[a-z]* *job //p' "$job/logs of $$"/coppice-*-plan-"$id".log); do
    ends "$id" COMPLETED
    [ "$(field "$id" TimeLimit)" = 01:00:00 ] || fail "the time limit is $(field "$id" TimeLimit)"
  done
  says "$job/logs of $$"/coppice-run-run-"$id".log "^cvr"
  [ -z "$(find "$lane" -name carried-out)" ] || fail "a name was carried out"
}

# Jobs that requeue themselves without ever getting anything done end, and say so.
test_futile() {
  local job=$lane/futile id
  write_pruned_job "$job"
  # The program stops before its first unit, as with a time limit that is too short.
  printf '#!/bin/sh\nexec %q "$@" $([ "$1" != run ] || echo --max-time 0.02)\n' "$COPPICE" >"$job/hasty"
  chmod +x "$job/hasty"
  submit "$job" --nodes 1 --coppice "$job/hasty"
  id=$(id_of "$job" run)
  ends "$id" FAILED
  [ "$(field "$id" ExitCode)" = 1:0 ] && [ "$(field "$id" Restarts)" = 1 ] || fail "$(on ctl scontrol show job "$id")"
  says "$(log_of "$job" run)" "before anything was finished, as the last time"
}

# srun in mpirun's place, and told to stop by hand.
test_srun() {
  local job=$lane/srun id
  on ctl srun --mpi=list 2>&1 | grep -q pmix || { echo "this Slurm has no pmix"; return; }
  write_pruned_job "$job"
  submit "$job" --nodes 2 --launcher srun --launcher-options --mpi=pmix --coppice "$(slowly 0.4)"
  id=$(id_of "$job" run)
  halfway "$job" 3
  on ctl scancel --signal=USR1 --batch "$id"
  ends "$id" COMPLETED
  restarted "$id"
  says "$(log_of "$job" run)" "stopped early (exit code 75); requeueing (1 of"
  same_as pruned "$job"
}

# Ctrl-C on a terminal, where srun passes it on.
test_interrupted() {
  local job=$lane/interrupted pid code=0
  on ctl srun --mpi=list 2>&1 | grep -q pmix && command -v script >/dev/null || { echo "no pmix, or no script"; return; }
  write_pruned_job "$job"
  mkfifo "$job/keys"
  # shellcheck disable=SC2086
  on ctl env $job_environment PMIX_MCA_gds=hash script -qefc "srun -X -n 2 --mpi=pmix '$(slowly 0.4)' run '$job/job.yaml'" /dev/null \
    <"$job/keys" >"$job/terminal.log" 2>&1 &
  pid=$!
  exec 8>"$job/keys"
  halfway "$job" 3
  printf '\003' >&8
  wait "$pid" || code=$?
  exec 8>&-
  # srun ends with its tasks' code, or with that of Ctrl-C; its line says what the tasks ended with.
  [ $code = 75 ] || { [ $code = 130 ] && grep -q "Exited with exit code 75" "$job/terminal.log"; } ||
    fail "exit code $code: $(cat "$job/terminal.log")"
  [ "$(grep -c '^coppice: ' "$job/terminal.log")" = 1 ]
  says "$job/terminal.log" "^coppice: stopped by signal SIGINT; run the same command again to go on"
}

# ---- who holds and reads what --------------------------------------------------------------------------------------

# Two ranks on each of two nodes: each node keeps one copy of a layer's weights, and fetches its part of the checkpoint once. Each
# node has a model folder of its own, as far as the kernel's cache of files goes, under the same name.
test_placement() {
  local job=$lane/placement node shared checkpoint fetched
  write_pruned_job "$job"
  mkdir "$job/kjv-llama-1m" # the name that the card says
  sed -i "s#^model: .*#model: $job/kjv-llama-1m#" "$job/job.yaml"
  for node in ctl node1 node2; do
    cp -a "$source/jobs/demo/kjv-llama-1m" "$job/model-$node"
    on "$node" mount --bind "$job/model-$node" "$job/kjv-llama-1m"
    forget "$job/model-$node"/*
  done
  submit "$job" --nodes 2 --ntasks-per-node 2 --coppice "$(slowly 3)" --container "$here/count_reads.sh $job/reads"
  halfway "$job" 4 # three more masks are waited for: time enough to look, on a busy machine as well
  shared=$(on ctl "$COPPICE" plan "$job/job.yaml" --json | sed -n 's/.*"node_shared": \([0-9]*\).*/\1/p')
  # Between two layers there is none for a moment.
  for node in node1 node2; do wait_until 20 one_copy "$node" "$shared" || fail "$node: $(copies "$node" "$shared")"; done
  ends "$(id_of "$job" run)" COMPLETED
  same_as pruned "$job"

  checkpoint=$(stat -c %s "$job/model-node1/model.safetensors")
  for node in node1 node2; do
    fetched=$(awk -v node=$node '$1 == node { sum += $2 } END { print sum + 0 }' "$job/reads")
    echo "$node fetched $fetched bytes for a checkpoint of $checkpoint"
    # Nothing at all: the file system of /tmp has no storage that Linux accounts for.
    [ "$fetched" = 0 ] || [ "$fetched" -ge $((checkpoint / 2)) ]
    [ "$fetched" -lt $((checkpoint * 5 / 4)) ] || fail "$node fetched the checkpoint more than once"
  done
}

# Drops files from the kernel's cache.
forget() {
  local file
  sync "$@"
  for file in "$@"; do dd if="$file" iflag=nocache count=0 status=none; done
}

# copies NODE BYTES: a line "ranks device inode bytes" for each piece of shared memory of at least that size that ranks on
# the node have mapped; Open MPI's windows are files of that name.
copies() {
  # shellcheck disable=SC2016
  on "$1" bash -c 'for pid in $(pgrep -x coppice); do cat /proc/$pid/maps; done' |
    awk -v least="$2" '/osc_sm/ { split($1, range, "-"); size = hex(range[2]) - hex(range[1]); key = $4 " " $5 " " size }
      /osc_sm/ && size >= least { ranks[key]++ }
      END { for (key in ranks) print ranks[key], key }
      function hex(text,   i, value) {
        for (i = 1; i <= length(text); i++) value = value * 16 + index("0123456789abcdef", substr(text, i, 1)) - 1
        return value
      }'
}
one_copy() {
  local ranks size
  read -r ranks _ _ size <<<"$(copies "$1" "$2")"
  [ "$(copies "$1" "$2" | wc -l)" = 1 ] && [ "$ranks" = 2 ] && [ "$size" -lt $(($2 + 65536)) ]
}

# ---- being told to stop ----------------------------------------------------------------------------------------

test_time_limit() {
  local job=$lane/limit id
  write_pruned_job "$job"
  # Told to stop after 3 s, that is when Slurm next looks at its limits, every 30 s: eight masks take longer.
  submit "$job" --nodes 1 --ntasks-per-node 1 --time 1 --signal 57 --coppice "$(slowly 6)"
  id=$(id_of "$job" run)
  wait_until 90 grep -qs "stopped early (exit code 75); requeueing (1 of" "$(log_of "$job" run)" ||
    fail "was not told to stop: $(cat "$(log_of "$job" run)")"
  on ctl scontrol update JobId="$id" TimeLimit=10
  ends "$id" COMPLETED
  restarted "$id"
  same_as pruned "$job"
}

test_preempted() {
  local job=$lane/preempted id
  write_pruned_job "$job"
  submit "$job" --nodes 3 --ntasks-per-node 1 --coppice "$(slowly 0.4)"
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
  submit "$job" --nodes 2 --ntasks-per-node 1 --coppice "$(slowly 0.4)"
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
  submit "$job" --nodes 2 --ntasks-per-node 1 --coppice "$(slowly 0.4)"
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
  submit "$job" --nodes 1 --coppice "$(slowly 2)"
  first=$(id_of "$job" run)
  halfway "$job" 2
  submit "$job" --nodes 1
  second=$(id_of "$job" run)
  failed_for_good "$second" 1
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
  failed_for_good "$(id_of "$job" score)" 1
  for stage in compensate evaluate export; do
    ends "$(id_of "$job" "$stage")" CANCELLED
    [ ! -e "$(log_of "$job" "$stage")" ] || fail "$stage has started"
  done
}

test_bad_input() {
  local job=$lane/bad
  write_pruned_job "$job"
  # A job file with a mistake is refused before anything is queued.
  echo "sparsty: 0.5" >>"$job/job.yaml"
  if submit "$job" 2>"$job/errors"; then fail "was submitted"; fi
  says "$job/errors" "sparsty"
  [ -z "$(on ctl squeue -h)" ] || fail "something was queued"
  # So is a corpus that is too small; and what has become so since ends the job for good, with the program's exit code.
  write_pruned_job "$job"
  cp "$source/jobs/demo/train.jsonl" "$job/short.jsonl"
  sed -i "s#corpus: .*#corpus: $job/short.jsonl#" "$job/job.yaml"
  submit "$job" --nodes 1 --sbatch-options --hold
  head -c 200 "$source/jobs/demo/train.jsonl" >"$job/short.jsonl"
  if submit "$job" 2>"$job/errors"; then fail "was submitted"; fi
  says "$job/errors" "short.jsonl"
  on ctl scontrol release "$(id_of "$job" run)"
  failed_for_good "$(id_of "$job" run)" 3
}
