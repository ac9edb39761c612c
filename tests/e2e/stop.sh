#!/usr/bin/env bash
# stop.sh - told to stop by a signal or by the time limit, the program ends with exit code 75, all ranks together, with
# everything committed intact; the same command goes on.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq

job=$folder/job.yaml
small_job "$job" method=wanda pattern=2:4 sparsity= sequences=8
undisturbed 2 "$job"
variant=wanda-2of4-columns-rows

rank_0() { rank_pid 0; }
rank_1() { rank_pid 1; }
mpirun() { mpirun_of; }

# stops SIGNAL TO RANKS WORD THEN [OPTIONS]: the signal goes to TO once the second layer has begun; the message has WORD;
# it goes on with THEN ranks.
stops() {
  local signal=$1 to=$2 n=$3 word=$4 then=$5
  shift 5
  rm -rf "$folder/run" "$folder/models"
  start "$n" run "$@" "$job"
  await 60 exists_or_gone "$folder/run/statistics/$variant/layer-001.h5" && alive "$started" || { cat "$folder/stderr"; return 1; }
  kill "-$signal" "$($to)" || return 1
  finish_started || return 1
  same "$code" 75 && stopped_well "$word" && goes_on "$then" "$job" "$@"
}
stopped_well() {
  grep -q "^coppice: stopped by .*$1.*; run the same command again" "$folder/stderr" || { cat "$folder/stderr"; return 1; }
  same "$(grep -c '^coppice: ' "$folder/stderr")" 1 && no_leftovers &&
    same "$(tail -n 1 "$folder/run/log.jsonl" | jq -c '[.event, .exit_code]')" '["end",75]'
}

check "SIGTERM to one rank" stops TERM rank_1 2 "" 3
check "SIGINT to rank 0" stops INT rank_0 3 SIGINT 1 --stop-signal USR2
check "SIGUSR1, which mpirun forwards to all" stops USR1 mpirun 2 SIGUSR1 1
check "a signal chosen by --stop-signal" stops USR2 mpirun 2 SIGUSR2 1 --stop-signal USR2
check "SIGTERM to a program without mpirun" eval '
  rm -rf "$folder/run" "$folder/models"
  "$COPPICE" run "$job" >"$folder/stdout" 2>"$folder/stderr" & started=$!
  await 60 exists_or_gone "$folder/run/masks/$variant/layer-001.h5"
  kill -TERM $started; code=0; wait $started || code=$?
  same $code 75 && stopped_well SIGTERM && goes_on 2 "$job"'

# Ctrl-C on a terminal: mpirun sends SIGTERM to all ranks, SIGKILL a second later, and ends with a code of its own, 1 or 130. Whether or not
# that second was enough, our line is there, and the last one. Half a second before each mask: however fast the machine is,
# the job does not end first.
ctrl_c() {
  local started code=0 last slow=
  ! can_interpose || slow="env LD_PRELOAD='$interpose' FAULT_PAUSE='*/masks/*' FAULT_PAUSE_FOR=0.5"
  rm -rf "$folder/run" "$folder/models" "$folder/keys"
  mkfifo "$folder/keys"
  TERM=xterm watched script -qefc "mpirun -n 2 $slow '$COPPICE' run '$job'" /dev/null <"$folder/keys" >"$folder/terminal" 2>&1 &
  started=$!
  exec 7>"$folder/keys"
  await 60 exists_or_gone "$folder/run/sequences.h5" && alive "$started" || { cat "$folder/terminal"; return 1; }
  printf '\003' >&7
  wait "$started" || code=$?
  exec 7>&-
  [ "$code" = 1 ] || [ "$code" = 130 ] || { echo "exit code $code"; cat "$folder/terminal"; return 1; }
  # What a terminal shows: a carriage return and "clear" begin a line anew.
  sed 's/.*\r\x1b\[K\(coppice: \)/\1/; s/\r//g; /^$/d' "$folder/terminal" >"$folder/stderr"
  last=$(tail -n 1 "$folder/stderr")
  same "${last#^C}" "coppice: stopped by signal SIGTERM, mpirun's for Ctrl-C; run the same command again to go on" &&
    same "$(grep -c 'coppice: ' "$folder/stderr")" 1 && goes_on 2 "$job"
}
if command -v script >/dev/null; then check "Ctrl-C on a terminal" ctrl_c; fi

# The limit passes before the first unit, however fast the machine is: starting MPI alone takes longer.
time_limit() {
  rm -rf "$folder/run" "$folder/models"
  exits 75 ranks 2 run --max-time "$1" --margin "$2" "$job" && stopped_well max-time && goes_on 1 "$job"
}
check "--max-time" time_limit 0.02 0.01
# Twice in a row with nothing done ends it: who starts again on 75 would go on for ever.
futile() {
  rm -rf "$folder/run" "$folder/models"
  exits 75 ranks 2 run --max-time 0.02 "$job" && exits 1 ranks 2 run --max-time 0.02 "$job" &&
    grep -q "^coppice: stopped by the time limit.* before anything was finished, as the last time: " "$folder/stderr" &&
    goes_on 1 "$job"
}
check "two stops in a row with nothing done" futile
check "--max-time as schedulers write it" time_limit 0:01 0.99
check "a limit that is long enough changes nothing" eval '
  rm -rf "$folder/run" "$folder/models"; runs alone run --max-time 1-00:00:00 "$job" && same "$wanted" "$(fingerprint)"'

# A second signal drops the current unit: the program stops within a second or two, however long the unit takes.
sooner() {
  small_job "$folder/long.yaml" method=wanda pattern= sequences=4000 length=256 corpus="$COPPICE_SOURCE/jobs/demo/train.jsonl" output= \
    run="$folder/run-long" perplexity=
  start 2 run "$folder/long.yaml"
  await 60 exists_or_gone "$folder/run-long/sequences.h5" || return 1
  kill -USR1 "$(mpirun)"
  sleep 0.3
  kill -USR1 "$(mpirun)"
  local before=${EPOCHREALTIME/./}
  finish_started || return 1
  same "$code" 75 || return 1
  [ $((${EPOCHREALTIME/./} - before)) -lt 5000000 ] || { echo "took $((${EPOCHREALTIME/./} - before)) us"; return 1; }
  no_leftovers
}
check "a second signal stops sooner" sooner
