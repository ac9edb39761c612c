#!/usr/bin/env bash
# sweep_cost.sh - measures what a sweep costs compared with the single runs that it replaces; no test. Five methods at 10 %
# to 90 % and two patterns each: 55 variants of the demonstration's model, calibrated with 32 sequences of 256, dense
# propagation, measured on the first WINDOWS windows of 256 tokens of the demonstration's test text.
#
#   tests/sweep_cost.sh [WINDOWS]      # 32 windows (as much text as is calibrated with); 0: the whole text
#   SAMPLE=5 tests/sweep_cost.sh       # every 5th single run only, and their sum times 5
#
# Every single run is a program of its own, as the sweep is, in an empty run directory, on two ranks. Perplexities of
# both must be equal. Wall time, and processor time of all ranks, of both go to standard output.
. "$(dirname "${BASH_SOURCE[0]}")/e2e/lib.sh"
need jq
export WATCHDOG=7200
windows=${1:-32} sample=${SAMPLE:-1}
methods=(magnitude wanda ria cvr sparsegpt)
amounts=(0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9 2:4 4:8)

# A token of this text is some 3.3 bytes.
if [ "$windows" = 0 ]; then
  cp jobs/demo/test.jsonl "$folder/text.jsonl"
else
  jq -r .text jobs/demo/test.jsonl | head -c $((windows * 256 * 10 / 3)) >"$folder/text.txt"
fi
text=$(echo "$folder"/text.*)

# job METHODS SPARSITIES PATTERNS
job() {
  cat <<YAML
model: $PWD/jobs/demo/kjv-llama-1m
run: $folder/run
calibration: {corpus: $PWD/jobs/demo/train.jsonl, sequences: 32, length: 256}
prune:
  method: $1
  propagation: dense
YAML
  [ -z "$2" ] || echo "  sparsity: $2"
  [ -z "$3" ] || echo "  pattern: $3"
  echo "evaluate: {perplexity: $text}"
}

# timed NAME: runs $folder/job.yaml; adds wall and processor seconds to wall_NAME and cpu_NAME.
timed() {
  local begun=${EPOCHREALTIME/./} used seconds
  rm -rf "$folder/run"
  TIMEFORMAT='%U %S'
  used=$( { time ranks 2 run --progress none "$folder/job.yaml" >"$folder/stdout" 2>"$folder/stderr"; } 2>&1) ||
    { cat "$folder/stderr"; exit 1; }
  seconds=$(awk -v us=$((${EPOCHREALTIME/./} - begun)) 'BEGIN { print us / 1e6 }')
  read -r wall cpu < <(awk -v w="$seconds" -v u="$used" 'BEGIN { split(u, t); print w, t[1] + t[2] }')
}
perplexities() { jq -r 'select(.variant != "dense") | "\(.variant) \(.perplexity)"' "$folder"/run/results/*/perplexity.json; }
join() { local IFS=,; echo "[$*]"; }

job "$(join "${methods[@]}")" "$(join "${amounts[@]:0:9}")" "$(join "${amounts[@]:9}")" >"$folder/job.yaml"
timed
sweep_wall=$wall sweep_cpu=$cpu
perplexities | sort >"$folder/sweep"
jq -r '"\(.windows) windows of \(.length) tokens"' "$folder/run/results/dense/perplexity.json"
echo "sweep of $(wc -l <"$folder/sweep") variants: $sweep_wall s, $sweep_cpu s of processors"
jq -R -r 'fromjson? | select(.event == "unit") | "\(.stage) \(.seconds)"' "$folder/run/log.jsonl" |
  awk '{ s[$1] += $2; n[$1]++ } END { for (k in s) printf "  %-10s %3d units %8.2f s\n", k, n[k], s[k] }' | sort

single_wall=0 single_cpu=0 count=0 number=0
for method in "${methods[@]}"; do
  for amount in "${amounts[@]}"; do
    number=$((number + 1))
    [ $(((number - 1) % sample)) = 0 ] || continue
    case $amount in
      *:*) job "$method" "" "$amount" ;;
      *) job "$method" "$amount" "" ;;
    esac >"$folder/job.yaml"
    timed
    single_wall=$(awk "BEGIN { print $single_wall + $wall }")
    single_cpu=$(awk "BEGIN { print $single_cpu + $cpu }")
    count=$((count + 1))
    perplexities >>"$folder/single"
  done
done
[ -z "$(sort "$folder/single" | comm -23 - "$folder/sweep")" ] || { echo "perplexities differ"; exit 1; }
awk -v w="$single_wall" -v c="$single_cpu" -v n="$count" -v all="$number" -v sw="$sweep_wall" -v sc="$sweep_cpu" 'BEGIN {
  printf "%d single runs: %.1f s, %.1f s of processors", n, w, c
  if (n != all) printf "; all %d as many times as long", all
  printf "\nthe sweep takes %.3f of their wall time, %.3f of their processor time\n", sw / (w * all / n), sc / (c * all / n)
}'
trap - EXIT
rm -rf "$folder"
