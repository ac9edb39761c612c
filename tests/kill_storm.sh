#!/usr/bin/env bash
# kill_storm.sh - disturbs jobs of every stage, method and compensation at random moments, again and again, and lets them
# go on at another number of ranks each time: SIGKILL to one rank, to all, to mpirun; all suspended while a program on
# another host takes over; the power lost, with what no fsync had made durable (tests/preload/power.c). Every job must
# end with the bytes of an undisturbed run, no unit done twice, no temporary file left; after a loss of power everything
# that has its final name is whole, and what the log calls done is there.
# Usage: tests/kill_storm.sh [--rounds ROUNDS] [--seed SEED] [--job NAME]
#   default: 200 rounds, a seed from the clock, all jobs in turn
# Prints the seed and the rounds by stage, job and kind. The seed fixes what is chosen, not how fast the machine is.
rounds=200 seed='' only=''
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=$2 ;;
    --seed) seed=$2 ;;
    --job) only=$2 ;;
    *) sed -n '2,10s/^# //p' "$0" >&2; exit 2 ;;
  esac
  shift 2
done
. "$(dirname "${BASH_SOURCE[0]}")/e2e/lib.sh"
need jq
seed=${seed:-$((${EPOCHREALTIME/./} % 32768))}
RANDOM=$seed
echo "# seed $seed, $rounds rounds"

need_maker
"$maker" --layers 5 --hidden 64 --intermediate 128 --heads 4 --kv-heads 2 --tied --shards 2 "$folder/model"
head -n 8 jobs/demo/train.jsonl >"$folder/train.jsonl"
head -n 1 jobs/demo/test.jsonl >"$folder/test.jsonl"

targets=(rank all mpirun)
if can_interpose; then
  need_tool power_cut
  power_cut=$tool
  need_tool power.so
  # Every program that `start` begins keeps account.
  export ACCOUNT=$tool POWER_ROOT=$folder POWER_JOURNAL=$folder/power
  targets+=(power power suspend)
fi

# ---- the jobs ---------------------------------------------------------------------------------------------

jobs=(mixed dense alps solved measured budget tasks)
# job_of NAME: together they have every stage.
job_of() {
  local prune compensate='{}' tasks=''
  case $1 in
    mixed) prune='method: [wanda, sparsegpt], sparsity: 0.5, pattern: 2:4' compensate='{energy: [rows], output: mixed}' ;;
    dense)
      prune='method: [wanda, sparsegpt], sparsity: 0.5, pattern: 2:4, propagation: dense'
      compensate='{energy: [rows], output: mixed}' ;;
    alps) prune='method: alps, pattern: 2:4, permute: [true, false]' ;;
    solved) prune='method: [ria, sparsegpt], sparsity: 0.6, allocation: owl' compensate='{output: least_squares}' ;;
    measured) prune='method: [wanda, admm], sparsity: 0.5, allocation: measured, measured_sequences: 2' ;;
    budget) prune='method: wanda, budget: {perplexity: 1.3}' ;;
    tasks)
      prune='method: [magnitude, cvr], sparsity: 0.5, allocation: dlp'
      compensate='{energy: [columns, rows], output: regression}'
      tasks=", tasks: [{data: $COPPICE_SOURCE/tests/golden/tasks/ARC-Easy-Test.jsonl, limit: 2}]" ;;
  esac
  cat >"$folder/$1.yaml" <<END
model: $folder/model
run: $folder/run
output: $folder/models
calibration: {corpus: $folder/train.jsonl, sequences: 5, length: 48, seed: 3}
prune: {$prune}
compensate: $compensate
evaluate: {perplexity: $folder/test.jsonl, length: 64$tasks}
END
}
# An undisturbed run, once for each job: its bytes, its time, its stages.
declare -A wanted time stages
first_run() {
  local began=${EPOCHREALTIME/./} stage
  [ -z "${wanted[$1]:-}" ] || return 0
  job_of "$1"
  rm -rf "$folder/run" "$folder/models"
  runs ranks 2 run "$folder/$1.yaml" || { cat "$folder/stderr"; exit 1; }
  time[$1]=$((${EPOCHREALTIME/./} - began))
  wanted[$1]=$(fingerprint)
  for stage in $(logged_units | cut -d ' ' -f 1 | sort -u); do stages[$stage]=1; done
  (cd "$folder" && find run models -type f ! -name log.jsonl) >"$folder/$1.files"
}

# ---- one round --------------------------------------------------------------------------------------------

# The stage at the kill, from the log: of the last unit that was begun and not ended since the last start.
in_hand() {
  tail -n 200 "$folder/run/log.jsonl" 2>/dev/null | jq -R -s -r '
    [split("\n")[] | fromjson? | objects] |
    (map(.event) | rindex("start")) as $start |
    if $start == null then "the start" else
      .[$start:] | (map(select(.event == "unit") | [.stage, .variant, .layer])) as $done |
      (map(select(.event == "begin")) | map(select([.stage, .variant, .layer] as $unit | $done | index([$unit]) | not))) |
      last as $unit | if $unit == null then "between units" else $unit.stage end
    end'
}

# The share of the units that is still to do, in thousandths.
left_to_do() {
  alone status --json "$folder/run" 2>/dev/null | jq '((.all - .done) * 1000 / .all) | floor' 2>/dev/null || echo 1000
}

declare -A by_stage by_job by_target
kills=0 jobs_done=0 broken=0
choose() { local options=("$@"); chosen=${options[RANDOM % $#]}; }

# A file of the job that is not there yet, sets `moment`: what it is called while it is made. An export is made in a
# folder of another name.
choose_moment() {
  local file missing=()
  while read -r file; do [ -e "$folder/$file" ] || missing+=("$file"); done <"$folder/$1.files"
  [ "${#missing[@]}" -gt 0 ] || missing=(run/lock)
  choose "${missing[@]}"
  named=$chosen
  case $chosen in
    run/*) moment=${chosen%/*}/.${chosen##*/}.* ;;
    models/*/*) moment=${chosen#models/} moment=models/.${moment%%/*}.partial-*/*${chosen##*/}* ;;
    models/*) moment=.models.partial-*/*${chosen##*/}* ;;
  esac
}

# Units of the log that have ended since it was last looked at; what is lost of it later stays on this list.
note_ended() {
  local log=$folder/run/log.jsonl
  [ ! -e "$log" ] || tail -c "+$((seen + 1))" "$log" | tr -d '\0' | jq -R -r \
    'fromjson? | objects | select(.event == "unit") | "\(.stage) \(.variant) \(.layer) \(.text // "") \(.task // "")"' >>"$folder/ended"
  note_length
}
note_length() { seen=$(stat -c %s "$folder/run/log.jsonl" 2>/dev/null || echo 0); }
none_ended_twice() {
  local twice
  twice=$(sort "$folder/ended" | uniq -d)
  [ -z "$twice" ] || { echo "done twice: $twice"; return 1; }
}

lose_power() {
  "$power_cut" "$folder" "$folder/power" "$((RANDOM * 32768 + RANDOM))" || return 1
  note_length
  # What has its final name is whole.
  [ ! -e "$folder/run/run.json" ] || runs alone verify "$folder/run"
}

all_stop() {
  local rank
  for rank in "$folder"/pid.*; do
    ! alive "$(<"$rank")" || { kill -STOP "$(<"$rank")" && grep -q '^State:.T' "/proc/$(<"$rank")/status"; } || return 1
  done
}
took_over() { grep -q 'left by a program that is gone' "$folder/other" || ! alive "$other"; }
# All ranks are suspended, a program on another host takes over, they wake while it is at work. It must end the job, and
# they must end.
suspend() {
  local rank other_code=0
  await 10 all_stop || { echo "not suspended"; return 1; }
  find "$folder/run" \( -name 'lock*' -o -name '.lock*' \) -exec touch -d '2 minutes ago' {} + 2>/dev/null # no heartbeat since
  : >"$folder/other" # that of the last time is not to be looked at
  watched env LD_PRELOAD="$interpose:$ACCOUNT:${LD_PRELOAD:-}" FAULT_HOST=elsewhere "$COPPICE" run --progress none "$1" \
    >/dev/null 2>"$folder/other" </dev/null &
  other=$!
  await 60 took_over
  sleep "0.$((RANDOM % 5))$((RANDOM % 10))"
  for rank in "$folder"/pid.*; do kill -CONT "$(cat "$rank")" 2>/dev/null; done
  finish_started || return 1
  wait "$other" || other_code=$?
  [ "$other_code" = 0 ] || { echo "the one who took over: exit code $other_code"; cat "$folder/other" "$folder/stderr"; return 1; }
}

all_began_or_gone() {
  local files=("$folder"/pid.*)
  { [ "${#files[@]}" = "$1" ] && [ -s "${files[0]}" ]; } || ! alive "$started"
}

# One round, unless the job ends first: sets `ended`.
one_round() {
  local job=$1 n target stage left named moment until options=() pause='' struck=''
  choose 1 2 2 3 4; n=$chosen
  [ "$job" != dense ] || { choose 1 2; options=(--teams $((chosen < n ? chosen : n))); }
  choose "${targets[@]}"; target=$chosen
  ended=''
  left=$(left_to_do)
  [ "$left" != 0 ] || { ended=1; return 0; }
  choose_moment "$job"
  choose clock seen seen paused
  [ "$chosen" != paused ] || [ "$target" = suspend ] || pause=$folder/$named
  PAUSE=$pause start "$n" run "${options[@]}" "$folder/$job.yaml"
  if [ "$chosen" != clock ]; then
    await 60 exists_or_gone "$folder/$moment"
    # Not always in the first moment of writing.
    [ $((RANDOM % 2)) = 0 ] || sleep "0.0$((RANDOM % 10))"
  else
    # From the start of the program to its likely end; launching, too, takes its time.
    until=$((${EPOCHREALTIME/./} + (RANDOM * 32768 + RANDOM) % (${time[$job]} * left / 1000 + 400000)))
    while [ "${EPOCHREALTIME/./}" -lt "$until" ] && alive "$started"; do sleep 0.002; done
  fi
  await 20 all_began_or_gone "$n"
  if alive "$started"; then
    struck=1
    case $target in
      rank) kill_target "$((RANDOM % n))" ;;
      suspend) suspend "$folder/$job.yaml" || return 1 ;;
      power) kill_target all ;;
      *) kill_target "$target" ;;
    esac 2>/dev/null
  fi
  # One that was suspended has been waited for.
  { [ "$target" = suspend ] && [ -n "$struck" ]; } || finish_started || return 1
  stage=$(in_hand)
  note_ended
  if [ "$code" = 0 ]; then
    ended=1
    return 0
  fi
  # 137 is a killed program; a rank that loses the others may say so before mpirun ends it.
  [ "$code" = 137 ] || [ "$code" = 1 ] || { echo "exit code $code"; cat "$folder/stderr"; return 1; }
  by_stage[${stage:-the start}]=$((${by_stage[${stage:-the start}]:-0} + 1))
  by_job[$job]=$((${by_job[$job]:-0} + 1))
  by_target[$target]=$((${by_target[$target]:-0} + 1))
  kills=$((kills + 1))
  [ "$target" != power ] || lose_power
}

# As many rounds as it takes, then to the end.
one_job() {
  local job=$1 n limit=$((kills + 25)) ended='' seen=0
  rm -rf "$folder/run" "$folder/models" "$folder/power"
  mkdir "$folder/power"
  : >"$folder/ended"
  while [ -z "$ended" ] && [ "$kills" -lt "$rounds" ] && [ "$kills" -lt "$limit" ]; do
    one_round "$job" || return 1
  done
  choose 1 2 3; n=$chosen
  runs ranks "$n" run "$folder/$job.yaml" && note_ended && same "${wanted[$job]}" "$(fingerprint)" && no_leftovers &&
    none_ended_twice && runs alone verify "$folder/run"
}

print_counts() {
  echo "# seed $seed: $kills rounds in $jobs_done jobs"
  for stage in "${!by_stage[@]}"; do printf '# %6d  %s\n' "${by_stage[$stage]}" "in hand: $stage"; done | sort -k 3
  for job in "${!by_job[@]}"; do printf '# %6d  %s\n' "${by_job[$job]}" "job: $job"; done | sort -k 3
  [ "$hung" = 0 ] || printf '# %6d  %s\n' "$hung" "mpirun hung when its ranks were gone"
  for target in "${!by_target[@]}"; do printf '# %6d  %s\n' "${by_target[$target]}" "struck: $target"; done | sort -k 3
}
trap 'print_counts; exit 130' INT TERM

at=$RANDOM
while [ "$kills" -lt "$rounds" ]; do
  job=${only:-${jobs[at++ % ${#jobs[@]}]}}
  first_run "$job"
  jobs_done=$((jobs_done + 1))
  before=$kills
  # Not by `check`, which runs its command in a subshell: the counts must live on.
  if one_job "$job" >"$folder/report" 2>&1; then
    checks=$((checks + 1))
    echo "ok $checks - $job, $((kills - before)) rounds"
  else
    checks=$((checks + 1)) failures=$((failures + 1)) broken=$((broken + 1))
    echo "not ok $checks - $job, after $((kills - before)) rounds"
    sed 's/^/# /' "$folder/report"
    [ "$broken" -lt 5 ] || break
  fi
done
every_stage() {
  local stage missed=0
  for stage in "${!stages[@]}"; do [ -n "${by_stage[$stage]:-}" ] || { echo "never in hand: $stage"; missed=1; }; done
  return $missed
}
[ "$rounds" -lt 200 ] || check "every stage was hit" every_stage
print_counts
