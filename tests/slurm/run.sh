#!/usr/bin/env bash
# run.sh - slurm/ on a real Slurm: private clusters of three nodes each (cluster.sh), jobs that prune the demonstration's
# model, and what goes wrong on clusters. Exit code 77 and a reason where that cannot be done.
#
#   tests/slurm/run.sh [TEST...]     all, or some by name; COPPICE=program (default: build/coppice), KEEP=1 keeps the logs
#
# Tests are the functions test_*. They share clusters by lane, one after the other in a lane, lanes side by side: most of
# the time a job waits for Slurm to notice something.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source=$(cd "$here/../.." && pwd)
export PATH=$PATH:/usr/sbin:/sbin
. "$here/../patience.sh"
. "$here/cluster.sh"
. "$here/jobs.sh"
. "$here/tests.sh"

lanes=(
  "one_job chain array"
  "rank_killed cancelled time_limit"
  "node_off preempted"
  "batch_node_off srun"
  "network_cut failing_stage tasks"
  "two_at_once bad_input placement"
  "installed futile interrupted"
)

skip() {
  echo "skipped: $*" >&2
  exit 77
}

# After a test that broke something.
mend() {
  local node
  for node in node1 node2 node3; do
    [ -e "$cluster/$node.holder" ] || node_on "$node"
    link "$node" up
  done
} >/dev/null 2>&1

# One lane: a cluster, and its tests one after the other. A failure ends the test, not the lane.
run_lane() {
  local test begin
  trap 'cluster_down' EXIT
  trap 'exit 1' TERM INT
  lane=$folder/$1
  mkdir "$lane"
  shift
  cluster_up "$lane/c" 3 2 >"$lane/up.log" 2>&1 || { cat "$lane/up.log" >&2; return 1; }
  for test in "$@"; do
    begin=$SECONDS
    # Not in the condition itself: there bash would ignore set -e.
    (set -e; "test_$test") >"$folder/$test.log" 2>&1
    if [ $? = 0 ]; then
      echo "ok      $test ($((SECONDS - begin)) s)"
      touch "$folder/$test.ok"
    else
      { echo "FAILED  $test ($((SECONDS - begin)) s)"; sed 's/^/        /' "$folder/$test.log"; }
    fi
    mend
    wait_until 60 all_idle
  done
}

finish() {
  local pid
  trap '' TERM INT
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
  wait
  if [ "${KEEP:-}" = 1 ]; then echo "kept: $folder" >&2; else rm -rf "$folder"; fi
}

main() {
  local missing wanted=("$@") lane test number=0 failed=0 chosen some=()
  COPPICE=${COPPICE:-$source/build/coppice}
  [ -x "$COPPICE" ] || { echo "$COPPICE: no such program; build it first" >&2; exit 1; }
  command -v mpirun >/dev/null || skip "mpirun is not installed"
  missing=$(cluster_missing)
  [ -z "$missing" ] || skip "$missing"
  if [ ${#wanted[@]} = 0 ]; then read -ra wanted <<<"${lanes[*]}"; fi
  for test in "${wanted[@]}"; do
    declare -F "test_$test" >/dev/null || { echo "there is no test $test" >&2; exit 2; }
  done

  folder=$(mktemp -d /tmp/coppice-slurm-XXXXXX) # short: unix sockets below it have room for 107 characters
  head -n 2 "$source/jobs/demo/test.jsonl" >"$folder/test.jsonl"
  pids=()
  trap finish EXIT
  trap 'exit 130' TERM INT
  make_references "${wanted[@]}" &
  pids+=($!)
  for lane in "${lanes[@]}"; do
    chosen=()
    for test in $lane; do [[ " ${wanted[*]} " != *" $test "* ]] || chosen+=("$test"); done
    number=$((number + 1))
    [ ${#chosen[@]} = 0 ] || { run_lane "$number" "${chosen[@]}" & pids+=($!); }
    some+=("${chosen[@]}")
  done
  wait "${pids[@]}"
  for test in "${some[@]}"; do [ -e "$folder/$test.ok" ] || failed=$((failed + 1)); done
  echo "$((${#some[@]} - failed)) of ${#some[@]} passed in $SECONDS s"
  [ $failed = 0 ]
}

main "$@"
