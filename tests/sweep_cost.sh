#!/usr/bin/env bash
# sweep_cost.sh - what a sweep costs compared with the single runs that it replaces, and with measuring its variants; no test.
# Seven methods at 10 % to 90 % and three patterns each: 84 variants, calibrated with 32 sequences of 256, dense
# propagation, measured on the first WINDOWS windows of 256 tokens of the demonstration's test text.
#
#   tests/sweep_cost.sh [--page] [WINDOWS]   # 32 windows (as much text as is calibrated with); 0: the whole text
#     SAMPLE=4            every 4th amount of each method as a single run, and their sum times 4; 1: all. A divisor of 12
#     MODEL=FOLDER        another model than the demonstration's
#     METHODS="wanda ria" fewer methods
# --page: writes the table into docs/sweeps.md.
#
# Every single run is a program of its own, as the sweep is, in an empty run directory, on two ranks. Perplexities of
# both must be equal. Seconds are of the clock, and of all processors; ranks that wait use processor time as well.
. "$(dirname "${BASH_SOURCE[0]}")/e2e/lib.sh"
need jq
export WATCHDOG=7200
. tests/bench/page.sh
page=
if [ "${1:-}" = --page ]; then page=$PWD/docs/sweeps.md; shift; fi
windows=${1:-32} sample=${SAMPLE:-4} model=$(realpath "${MODEL:-jobs/demo/kjv-llama-1m}")
read -ra methods <<<"${METHODS:-magnitude wanda ria cvr sparsegpt admm alps}"
amounts=(0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9 1:4 2:4 4:8)
[ $((${#amounts[@]} % sample)) = 0 ] || { echo "SAMPLE=$sample does not divide ${#amounts[@]}"; exit 1; }

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
model: $model
run: $folder/run
calibration: {corpus: $PWD/jobs/demo/train.jsonl, pack: true, sequences: 32, length: 256}
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
text_size=$(jq -r '"\(.windows) windows of \(.length) tokens"' "$folder/run/results/dense/perplexity.json")
stages=$(jq -R -r 'fromjson? | select(.event == "unit") | "\(.stage) \(.seconds * .team_ranks / 2)"' "$folder/run/log.jsonl" |
  awk '{ s[$1] += $2; n[$1]++ } END { for (k in s) printf "| of it %s, %d units | %.2f | | |\n", k, n[k], s[k] }' | sort)
measuring=$(awk '$4 == "evaluate," { print $8 }' <<<"$stages")

single_wall=0 single_cpu=0 count=0
for m in "${!methods[@]}"; do
  for a in "${!amounts[@]}"; do
    [ $(((m + a) % sample)) = 0 ] || continue
    method=${methods[m]} amount=${amounts[a]}
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
{
  echo "$(wc -l <"$folder/sweep") variants of $(basename "$model"): ${methods[*]} at ${amounts[*]}; 32 sequences of 256 tokens, $text_size."
  echo
  echo '| | seconds | of processors | sweep / this |'
  echo '|---|---|---|---|'
  awk -v w="$sweep_wall" -v c="$sweep_cpu" -v stages="$stages" -v measuring="$measuring" -v sw="$single_wall" -v sc="$single_cpu" \
    -v n="$count" -v sample="$sample" 'BEGIN {
    printf "| the sweep | %.1f | %.1f | |\n", w, c
    sub(/evaluate, [0-9]+ units [|] [0-9.]+ [|] [|]/, sprintf("& %.2f", w / measuring), stages)
    print stages
    printf "| single runs%s | %.1f | %.1f | %.3f |\n", (sample > 1 ? ", from " n " of them" : ""), sw * sample, sc * sample, w / sw / sample
  }'
  printf '\n%s, 2 ranks; %s.\n' "$(processor_name)" "$(date +%Y-%m-%d)"
} >"$folder/table"
cat "$folder/table"
[ -z "$page" ] || replace_section "$page" '<!-- tests/sweep_cost.sh --page -->' '<!-- end of sweep_cost -->' "$folder/table"
trap - EXIT
rm -rf "$folder"
