#!/usr/bin/env bash
# plan_time.sh - does `coppice plan` tell the truth? Runs six different jobs and compares the plan's work with what the stages
# count, within 25 %, and its time, with this machine's rates measured, with the time that the run takes, within a factor of 1.5.
# Opt-in: it takes minutes, and wants a machine that does nothing else. For one that does, CPU=1 compares the processor time of
# the rank that has most of it; ranks that wait for others sleep.
#
#   tests/plan_time.sh [JOB...]      default: all; RANKS=1, or as many
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. jobs/packages.sh
export_mpi_environment
export OMP_NUM_THREADS=1 LC_ALL=C
coppice=$(realpath "${COPPICE:-build/coppice}")
maker=$(dirname "$coppice")/tests/make_checkpoint
[ -e "$maker" ] || maker=build/tests/make_checkpoint
idle=$(realpath "$(dirname "$maker")/idle.so")
[ -z "${CPU:-}" ] || [ -e "$idle" ] || { echo "build $idle first"; exit 1; }
ranks=${RANKS:-1}
folder=$(mktemp -d "${TMPDIR:-/tmp}/coppice-plan-time-XXXXXX")
trap 'rm -rf "$folder"' EXIT

demo=$PWD/jobs/demo
head -n 8 "$demo/test.jsonl" >"$folder/test.jsonl"
"$maker" --layers 3 --hidden 512 --intermediate 1376 --heads 8 --vocab 1024 --tied "$folder/wide" || exit 1
cp "$demo/kjv-llama-1m/tokenizer.json" "$folder/wide/"

# job NAME MODEL SEQUENCES LENGTH LINE...
job() {
  cat >"$folder/$1.yaml" <<YAML
model: $2
run: $folder/$1
calibration: {corpus: $demo/train.jsonl, sequences: $3, length: $4}
$(printf '%s\n' "${@:5}")
YAML
}
small=$demo/kjv-llama-1m wide=$folder/wide
job wanda "$small" 96 256 'prune: {method: wanda, sparsity: 0.5}' "evaluate: {perplexity: $folder/test.jsonl}"
job sweep "$small" 64 256 'prune: {method: [magnitude, ria, cvr], sparsity: [0.3, 0.6], propagation: dense}' \
  'compensate: {energy: [columns, rows]}' "evaluate: {perplexity: $folder/test.jsonl, length: 128}"
job solved "$small" 48 256 'prune: {method: wanda, sparsity: 0.5}' 'compensate: {output: least_squares}'
job sparsegpt "$wide" 32 256 'prune: {method: sparsegpt, pattern: 2:4}' "output: $folder/model"
job alps "$wide" 12 256 'prune: {method: alps, sparsity: 0.5}'
job auto "$wide" 8 128 'prune: {method: auto, sparsity: 0.5}' 'compensate: {output: mixed}' \
  "evaluate: {perplexity: $folder/test.jsonl, length: 128}"

# Runs the job NAME; prints user and system seconds of each rank.
run() {
  mpirun -n "$ranks" bash -c 'TIMEFORMAT="%U %S"; time LD_PRELOAD=$1 "$2" run --progress lines "$3" >>"$4" 2>&1' bash \
    "${CPU:+$idle}" "$coppice" "$folder/$1.yaml" "$folder/out" 2>&1
}
most() { awk '{ s = $1 + $2; if (s > most) most = s } END { print most }' <<<"$1"; }

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", (b > 0 ? a / b : 0) }'; }
within() { awk -v r="$1" -v f="$2" 'BEGIN { exit !(r <= f && r >= 1 / f) }'; }

failed=0
printf '%-10s %10s %10s %6s   %9s %9s %9s %9s %6s\n' job 'Gflop plan' counted ratio 'built in' predicted \
  "${CPU:+cpu }seconds" 'of it left' ratio
[ $# -gt 0 ] || set -- wanda sweep solved sparsegpt alps auto
for name in "$@"; do
  built_in=$("$coppice" plan --json --ranks-per-node "$ranks" "$folder/$name.yaml" | jq .seconds) || exit 1
  "$coppice" plan --json --ranks-per-node "$ranks" --machine measured "$folder/$name.yaml" >"$folder/plan.json" || exit 1
  used=$(run "$name") || { cat "$folder/out"; exit 1; }
  log=$folder/$name/log.jsonl
  seconds=$(jq -s 'map(select(.event == "unit") | .seconds * .team_ranks) | add / '"$ranks" "$log")
  # Processor time without that of a start that does nothing.
  [ -z "${CPU:-}" ] || seconds=$(awk -v a="$(most "$used")" -v b="$(most "$(run "$name")")" 'BEGIN { print a - b }')
  planned=$(jq .work "$folder/plan.json")
  counted=$(jq -s 'map(select(.event == "unit") | .work) | add' "$log")
  predicted=$(jq .seconds "$folder/plan.json")
  left=$("$coppice" plan --json --machine measured "$folder/$name.yaml" | jq .left.work)
  work_ratio=$(ratio "$planned" "$counted") time_ratio=$(ratio "$predicted" "$seconds")
  printf '%-10s %10.1f %10.1f %6s   %9.1f %9.1f %9.1f %9s %6s\n' "$name" "$(ratio "$planned" 1e9)" "$(ratio "$counted" 1e9)" \
    "$work_ratio" "$built_in" "$predicted" "$seconds" "$left" "$time_ratio"
  within "$work_ratio" 1.25 || { echo "  its work is not within 25 %"; failed=1; }
  within "$time_ratio" 1.5 || { echo "  its time is not within a factor of 1.5"; failed=1; }
  [ "$left" = 0 ] || { echo "  something is left"; failed=1; }
done
exit $failed
