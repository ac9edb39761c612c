#!/usr/bin/env bash
# kill_storm.sh - kills a job with many layers and variants at random moments, again and again, and lets it go on at
# another number of ranks each time: SIGKILL to one rank, to all ranks, to mpirun. Every job must end with the bytes of
# an undisturbed run, no unit done twice, no temporary file left.
# Usage: tests/kill_storm.sh [--rounds KILLS] [--seed SEED]     defaults: 200 kills, a seed from the clock
# Prints the seed and the kills by stage and by target. The seed fixes what is chosen, not how fast the machine is.
rounds=200 seed=
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=$2 ;;
    --seed) seed=$2 ;;
    *) sed -n '2,7s/^# //p' "$0" >&2; exit 2 ;;
  esac
  shift 2
done
. "$(dirname "${BASH_SOURCE[0]}")/e2e/lib.sh"
need jq
seed=${seed:-$((${EPOCHREALTIME/./} % 32768))}
RANDOM=$seed
echo "# seed $seed, $rounds kills"

need_maker
"$maker" --layers 5 --hidden 64 --intermediate 128 --heads 4 --kv-heads 2 --tied --shards 2 "$folder/model"
# job_of PROPAGATION: every stage there is: with and without Hessians and second-order masks, outputs matched and
# guarded.
job_of() {
  small_job "$folder/$1.yaml" model="$folder/model" propagation="$1" method='[wanda, sparsegpt]' sequences=5 length=48 \
    energy='[rows]' compensate=', output: mixed, guard: true' perplexity="$folder/test.jsonl"
}
first_run() {
  local began=${EPOCHREALTIME/./}
  rm -rf "$folder/run" "$folder/models"
  runs ranks 2 run "$folder/$1.yaml" || exit 1
  declare -g "wanted_$1=$(fingerprint)" "time_$1=$((${EPOCHREALTIME/./} - began))"
}

# The current unit at the kill, from the log: the last one that was begun and not ended since the last start. Layers with
# second-order information are told apart.
in_hand() {
  tail -n 200 "$folder/run/log.jsonl" 2>/dev/null | jq -R -s -r --arg propagation "$1" '
    [split("\n")[] | fromjson?] |
    (map(.event) | rindex("start")) as $start |
    if $start == null then "the start" else
      .[$start:] | (map(select(.event == "unit") | [.stage, .variant, .layer])) as $done |
      (map(select(.event == "begin")) | map(select([.stage, .variant, .layer] as $unit | $done | index([$unit]) | not))) |
      last as $unit |
      if $unit == null then "between units"
      elif $unit.stage == "calibrate" and ($propagation == "dense" or ($unit.variant | startswith("sparsegpt"))) then
        "calibrate, with Hessians"
      elif $unit.stage == "score" and ($unit.variant | startswith("sparsegpt")) then "score, second order"
      elif $unit.stage == "compensate" then "compensate, outputs matched and guarded"
      else $unit.stage end
    end'
}

# The share of the units that is still to do, in thousandths.
left_to_do() {
  alone status --json "$folder/run" 2>/dev/null | jq '((.all - .done) * 1000 / .all) | floor' 2>/dev/null || echo 1000
}

# All are to be hit; a short storm hits some. Beside them there are moments: the start, between units.
stages=(sequences calibrate "calibrate, with Hessians" score "score, second order"
  "compensate, outputs matched and guarded" evaluate export)
declare -A by_stage by_target
kills=0 jobs=0 broken=0
choose() { local options=("$@"); chosen=${options[RANDOM % $#]}; }

# Files whose appearance means that a stage is at work; each is waited for now and then, so that short stages are
# struck too.
moments=('run/lock*' 'run/.sequences.h5.*' 'run/statistics/*/.layer-*' 'run/hessians/*/.layer-*' 'run/masks/*/.layer-*'
  'run/weights/*/.layer-*' 'run/activations/*/.layer-*' 'run/results/*/.perp*' 'models/.*.partial-*'
  'models/.*.partial-*/model-00001-of-00002.*')

# One kill, unless the job ends first: sets `ended`.
one_kill() {
  local propagation=$1 n target stage time left moment until options=()
  time=time_$propagation
  choose 1 2 2 3 4; n=$chosen
  [ "$propagation" = pruned ] || { choose 1 2; options=(--teams "$chosen"); }
  choose rank all mpirun; target=$chosen
  choose "${moments[@]}"; moment=$chosen
  [ ! -e "$folder/run/sequences.h5" ] || [ "$moment" != 'run/.sequences.h5.*' ] || moment='run/masks/*/.layer-*'
  left=$(left_to_do)
  ended=
  [ "$left" != 0 ] || { ended=1; return 0; }
  start "$n" run "${options[@]}" "$folder/$propagation.yaml"
  if [ $((RANDOM % 2)) = 0 ]; then
    await 60 exists_or_gone "$folder/$moment"
    # Not always in the first moment of writing.
    [ $((RANDOM % 2)) = 0 ] || sleep "0.0$((RANDOM % 10))"
  else
    # From the start of the program to its likely end; launching, too, takes its time.
    until=$((${EPOCHREALTIME/./} + (RANDOM * 32768 + RANDOM) % (${!time} * left / 1000 + 400000)))
    while [ "${EPOCHREALTIME/./}" -lt "$until" ] && alive "$started"; do sleep 0.002; done
  fi
  await 20 exists_or_gone "$folder/pid.0"
  if alive "$started"; then
    [ "$target" != rank ] || { await 5 exists_or_gone "$folder/pid.$((n - 1))"; target=$((RANDOM % n)); }
    kill_target "$target" 2>/dev/null
  fi
  finish_started || return 1
  if [ "$code" = 0 ]; then
    ended=1
    return 0
  fi
  # 137 is a killed program; a rank that loses the others may say so before mpirun ends it.
  [ "$code" = 137 ] || [ "$code" = 1 ] || { echo "exit code $code"; cat "$folder/stderr"; return 1; }
  if [ -e "$folder/run/sequences.h5" ]; then stage=$(in_hand "$propagation"); else stage=sequences; fi
  stage=${stage:-the start}
  case $target in [0-9]*) target="one rank" ;; esac
  by_stage[$stage]=$((${by_stage[$stage]:-0} + 1))
  by_target[$target]=$((${by_target[$target]:-0} + 1))
  kills=$((kills + 1))
}

# As many kills as it takes, then to the end.
one_job() {
  local propagation=$1 wanted=wanted_$1 n limit=$((kills + 25)) ended=
  rm -rf "$folder/run" "$folder/models"
  while [ -z "$ended" ] && [ "$kills" -lt "$rounds" ] && [ "$kills" -lt "$limit" ]; do
    one_kill "$propagation" || return 1
  done
  choose 1 2 3; n=$chosen
  runs ranks "$n" run "$folder/$propagation.yaml" && same "${!wanted}" "$(fingerprint)" && no_leftovers && no_unit_twice &&
    runs alone verify "$folder/run"
}

print_counts() {
  echo "# seed $seed: $kills kills in $jobs jobs"
  for stage in "${!by_stage[@]}"; do printf '# %6d  %s\n' "${by_stage[$stage]}" "in hand: $stage"; done | sort -k 3
  for target in "${!by_target[@]}"; do printf '# %6d  %s\n' "${by_target[$target]}" "killed: $target"; done | sort -k 3
}
trap 'print_counts; exit 130' INT TERM

for propagation in pruned dense; do
  job_of $propagation
  first_run $propagation
done
while [ "$kills" -lt "$rounds" ]; do
  choose pruned dense
  propagation=$chosen
  jobs=$((jobs + 1))
  before=$kills
  # Not by `check`, which runs its command in a subshell: the counts must live on.
  if one_job "$propagation" >"$folder/report" 2>&1; then
    checks=$((checks + 1))
    echo "ok $checks - $propagation propagation, $((kills - before)) kills"
  else
    checks=$((checks + 1)) failures=$((failures + 1)) broken=$((broken + 1))
    echo "not ok $checks - $propagation propagation, after $((kills - before)) kills"
    sed 's/^/# /' "$folder/report"
    [ "$broken" -lt 5 ] || break
  fi
done
every_stage() {
  local stage missed=0
  for stage in "${stages[@]}"; do [ -n "${by_stage[$stage]:-}" ] || { echo "never in hand: $stage"; missed=1; }; done
  return $missed
}
[ "$rounds" -lt 100 ] || check "every stage was hit" every_stage
print_counts
