#!/usr/bin/env bash
# experts_at_size.sh - a model in the shape of DeepSeek-V3 with 256 experts, of which a token takes 8: peak resident memory is
# what `plan` says, to 20 %, experts without tokens follow the rule of few tokens, and of each stage the seconds, as planned and
# as measured, and the most memory of a rank. Opt-in: takes minutes, and numpy for the model (PYTHON, default python3).
# Usage: tests/experts_at_size.sh [METHOD...]    default: wanda sparsegpt
. "$(dirname "${BASH_SOURCE[0]}")/e2e/lib.sh"
need jq
[ -x /usr/bin/time ] || skip_test "/usr/bin/time is not installed"
python=${PYTHON:-python3}
"$python" -c 'import numpy' 2>/dev/null || skip_test "$python has no numpy"
sequences=24 length=256
"$python" tests/golden/make_deepseek.py "$folder/model"
awk -v n=$((60 * length)) 'BEGIN { srand(3); for (i = 0; i < n; i++) printf "%c", 32 + int(95 * rand()) }' >"$folder/train.txt"

within() { awk -v a="$1" -v b="$2" 'BEGIN { print a, "compared with", b; exit !(a > 0.8 * b && a < 1.2 * b) }'; }
# Planned seconds are those of a quiet machine like the one that plan knows.
stages() {
  jq -rs --slurpfile plan "$folder/plan.json" '
    map(select(.event == "unit")) | group_by(.stage)[] | (.[0].stage) as $stage | ($plan[0].stages[$stage].seconds // 0) as $planned |
    "# \($stage): \(map(.seconds) | add * 100 | round / 100) s, planned \($planned * 100 | round / 100) s; " +
    "at most \(map(.peak_memory // 0) | max / 1e6 | round) MB"' "$folder/run/log.jsonl"
  jq -rs --slurpfile plan "$folder/plan.json" '
    (map(select(.event == "unit").seconds) | add) as $all | $plan[0].seconds as $planned |
    "# all: \($all * 100 | round / 100) s, planned \($planned * 100 | round / 100) s: \($all / $planned * 100 | round / 100) times"' \
    "$folder/run/log.jsonl"
}
# An expert that no token takes, and whether its masks say so.
idle_follow_the_rule() {
  local record
  record=$(jq -c '[.linears["layers.1.mlp.experts.3.up_proj", "layers.1.mlp.experts.200.down_proj"] | [.tokens, .fallback]]' \
    "$folder/pruned/coppice.json") && [ "$record" = '[[0,"weights"],[0,"weights"]]' ]
}

for method in "${@:-wanda sparsegpt}"; do
  for method in $method; do
    for ranks in 1 2; do
      rm -rf "$folder/run" "$folder/pruned" "$folder/peak"
      small_job "$folder/job.yaml" model="$folder/model" corpus="$folder/train.txt" sequences=$sequences length=$length \
        method="$method" sparsity=0.5 pattern= energy='[]' output="$folder/pruned" perplexity=
      ranks "$ranks" plan --json "$folder/job.yaml" >"$folder/plan.json"
      planned=$(jq .memory.peak_resident "$folder/plan.json")
      WATCHDOG=7200 runs quietly "$ranks" /usr/bin/time -f %M -a -o "$folder/peak" "$COPPICE" run --progress none \
        "$folder/job.yaml" || exit 1
      peak=$(($(sort -n "$folder/peak" | tail -n 1) * 1024))
      echo "# $method, $ranks ranks: planned $planned, measured $peak bytes"
      check "$method at $ranks ranks: within 20 % of the plan" within "$peak" "$planned"
      check "$method at $ranks ranks: experts without tokens are pruned by their weights" idle_follow_the_rule
      stages
    done
  done
done
