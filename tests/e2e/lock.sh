#!/usr/bin/env bash
# lock.sh - a program that was suspended loses its run directory to one on another host; when it wakes it writes nothing
# more, and ends with one line. Suspended at its worst moment: after it looked at its lock, before it renames a file.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq
can_interpose || skip_test "no interpose.so"

job=$folder/job.yaml
small_job "$job" method=wanda pattern= sequences=4
undisturbed 1 "$job"
variant=wanda-0.5-columns-rows

# elsewhere COMMAND...: on a host of another name, where nobody can ask after this one's processes.
elsewhere() { env LD_PRELOAD="$interpose" FAULT_HOST=elsewhere "$@"; }
stopped() { grep -q '^State:.T' "/proc/$(rank_pid "$1")/status"; }
all_stopped() {
  local rank
  for rank in "$folder"/pid.*; do stopped "${rank##*.}" || return 1; done
}
listing() { find "$folder/run" "$folder/models" -printf '%p %i %T@ %s\n' | sort; }

# wakes RANKS MOMENT: all ranks are suspended when rank 0 is to give a file a name like MOMENT; another host takes the run
# over and ends it; then they wake.
wakes() {
  local n=$1 before rank
  rm -rf "$folder/run" "$folder/models"
  STOP="$folder/$2" start "$n" run --progress none "$job"
  await 60 stopped 0 || { echo "$2 never came"; cat "$folder/stderr"; return 1; }
  for rank in "$folder"/pid.*; do kill -STOP "$(cat "$rank")"; done
  await 10 all_stopped || return 1
  mv "$folder/stderr" "$folder/woken" # where the suspended ones write
  touch -d '2 minutes ago' "$folder/run/lock" "$folder"/run/results/*/lock # no heartbeat since
  runs elsewhere "$COPPICE" run --progress none "$job" && grep -q 'left by a program that is gone' "$folder/stderr" &&
    same "$wanted" "$(fingerprint)" && no_leftovers || { echo "the one who took over"; return 1; }
  before=$(listing)
  for rank in "$folder"/pid.*; do kill -CONT "$(cat "$rank")"; done
  finish_started || return 1
  same "$code" 1 && same "$before" "$(listing)" && no_leftovers || { cat "$folder/woken"; return 1; }
  same "$(grep -c '^coppice: ' "$folder/woken")" 1 && grep -q "^coppice: $folder/run/lock: the lock is gone" "$folder/woken" ||
    { cat "$folder/woken"; return 1; }
}
check "2 ranks, weights" wakes 2 "run/weights/$variant/layer-002.h5"
check "1 rank, the exported model" wakes 1 "models"
