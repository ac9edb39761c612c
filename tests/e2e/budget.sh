#!/usr/bin/env bash
# budget.sh - the sparsest model within a budget: the bound is met on text that nothing was fitted to, the best attempt is
# the variant, the search goes on after a kill as if nothing had been, and a budget that no model keeps ends in an error.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq

# budget_job BUDGET LINES KEY=VALUE...: a small job with it.
budget_job() {
  local budget=$1 more=$2
  shift 2
  small_job "$folder/job.yaml" method=wanda sparsity= pattern= "energy=[]" "$@"
  printf '  budget: {perplexity: %s}\n%s' "$budget" "${more:+  $more$'\n'}" >"$folder/more"
  sed -i "/^  skip:/r $folder/more" "$folder/job.yaml"
}

# ---- pruned propagation, least squares, the measured allocation ----------------------------------------------

few='skip=[mlp.gate_proj, mlp.down_proj, self_attn.k_proj, self_attn.v_proj, self_attn.o_proj]'
budget_job 1.1 'measured_sequences: 2' compensate=', output: least_squares' "$few"
check "plan knows the attempts" eval '
  alone plan "$folder/job.yaml" >"$folder/plan" && grep -q "wanda-budget1.1.*(up to 6 attempts" "$folder/plan" &&
  alone plan --json "$folder/job.yaml" | jq -e ".stages.attempt.units == 8 and .stages.score.units == 28 and .stages.held_out.units == 1"'
undisturbed 2 "$folder/job.yaml"
variant=wanda-budget1.1-sequences2-output-least_squares
result=$folder/run/budget/$variant/result.json
check "the bound is met within 1 %" jq -e '.found and .bound == 1.1 and .ratio <= 1.1 and .ratio >= 1.1 * 0.99' "$result"
check "the result is the attempt that it says" eval '
  jq -e --slurpfile a "$folder/run/budget/$variant/attempt-$(jq .attempt "$result").json" \
    ".sparsity == \$a[0].sparsity and .mean_nll == \$a[0].mean_nll and .attempts[.attempt - 1].ratio == .ratio" "$result"'
check "the ratio is that to the dense model on the same text" near "$(jq .ratio "$result")" \
  "$(jq -n --slurpfile p "$result" --slurpfile d "$folder/run/budget/dense/result.json" '$p[0].perplexity / $d[0].perplexity')" 1e-9
check "nothing is left of the attempts but their verdicts" same "$(cd "$folder/run" && find . -name '*~*')" ""
alone report "$folder/run" >/dev/null
check "masks have that sparsity" near "$(jq ".models[1].sparsity" "$folder/run/report.json")" "$(jq .sparsity "$result")" 1e-2
check "the report tells of the attempts" grep -q "perplexity on held-out text" "$folder/run/report.html"
rm -f "$folder"/run/report* "$folder/run/results.csv" # only the files of the run are compared
check "results say what was tried" eval '
  alone run --json "$folder/job.yaml" 2>/dev/null | jq -e ".results[1].budget | .found and (.attempts | length) >= 1 and .dense_perplexity > 1"'
check "so do run, status and the exported model" eval '
  alone run "$folder/job.yaml" 2>/dev/null | grep -q "^$variant: sparsity .* x dense on held-out text of the corpus (bound 1.1)" &&
  alone status "$folder/run" | grep -q "  sparsity .*(bound 1.1)" && alone status "$folder/run" | grep -q ": complete" &&
  jq -e ".budget.found and (.budget.attempts | length) >= 1" "$folder/models/coppice.json"'
check "status tells the attempts that were made from those that were not needed" eval '
  made=$(jq ".attempts | length" "$result") && [ "$made" -lt 6 ] &&
  alone status "$folder/run" | grep -q "^$variant .*attempt 7/7 ($((6 - made)) not needed)" &&
  alone status --json "$folder/run" | jq -e --argjson made "$made" ".variants[1].stages | .attempt.not_needed == 6 - \$made and
    .score == {done: 28, all: 28, not_needed: (24 - 4 * \$made)}"'
check "the run directory is sound" runs alone verify "$folder/run"
wanted=$(fingerprint)

check "mpirun killed while a verdict is written" strike "$folder/job.yaml" "run/budget/$variant/.attempt-2.json.*" mpirun 2 3
check "a rank killed when the best attempt becomes the variant" strike "$folder/job.yaml" "run/masks/$variant" 0 2 1

damaged() {
  rm "$folder/run/masks/$variant/layer-002.h5" "$folder/run/weights/$variant/layer-002.h5"
  sed -i 's/"mean_nll": /"mean_nll": 1/' "$folder/run/budget/$variant/attempt-2.json"
  runs ranks 2 run "$folder/job.yaml" && same "$wanted" "$(fingerprint)"
}
check "what is damaged or gone is made again, with the same bytes" damaged
# What this attempt is made from is not what the others are.
mixed() {
  local file=masks/$variant/layer-002.h5 other=$(jq '.attempt % 6 + 1' "$result")
  cp "$folder/run/$file" "$folder/whole.h5"
  mkdir "$folder/run/masks/$variant~$other"
  mv "$folder/run/$file" "$folder/run/${file/"$variant"/"$variant~$other"}"
  exits 2 ranks 2 run "$folder/job.yaml" && grep -q 'is a layer of another attempt of the search' "$folder/stderr" &&
    exits 2 alone verify "$folder/run" && rm -r "$folder/run/masks/$variant~$other" &&
    cp "$folder/whole.h5" "$folder/run/$file" && runs alone verify "$folder/run"
}
check "a layer under another attempt is noticed" mixed
check "held-out text is drawn again" eval 'printf x >>"$folder/run/held-out.h5"
  runs alone run "$folder/job.yaml" && same "$wanted" "$(fingerprint)"'

# ---- dense propagation, uniform, factors towards the dense outputs, no weights kept --------------------------

budget_job 1.15 'allocation: uniform' propagation=dense output= compensate=', output: regression, keep_weights: false' "$few"
rm -rf "$folder/run" "$folder/models"
check "dense propagation" runs alone run "$folder/job.yaml"
wanted=$(fingerprint)
variant=wanda-budget1.15-uniform-output-regression
check "meets its bound as well" jq -e '.found and .ratio <= 1.15 and .ratio >= 1.15 * 0.99' "$folder/run/budget/$variant/result.json"
check "weights that are not kept go" same "$(find "$folder/run/weights" -type f)" ""
# Hidden states are gone at the end: some are set aside while they are there.
sets_aside() {
  rm -rf "$folder/run" "$folder/models"
  PAUSE="$folder/run/activations/dense/layer-002.h5" start 2 run "$folder/job.yaml"
  await 60 exists_or_gone "$folder/run/activations/dense/.layer-002.h5.*" &&
    cp "$folder/run/activations/dense/layer-001.h5" "$folder/states.h5"
  kill_target all
  finish_started
  [ -s "$folder/states.h5" ]
}
if can_interpose; then
  check "hidden states are there for a while" sets_aside
  check "2 ranks, the same bytes" goes_on 2 "$folder/job.yaml"
else
  check "2 ranks, the same bytes" again 2 "$folder/job.yaml"
fi
# A removal is not waited for: after a loss of power what was removed may be there again.
comes_back() {
  local attempt file
  attempt=$variant~$(jq .attempt "$folder/run/budget/$variant/result.json") || return 1
  for file in "masks/$attempt/layer-002.h5" \
    "activations/dense/layer-001.h5" "results/$variant/parts/perplexity/0.json"; do
    [ ! -e "$folder/run/$file" ] || { echo "$file was never removed"; return 1; }
    mkdir -p "$folder/run/${file%/*}"
    case $file in
      activations/*) ! can_interpose || cp "$folder/states.h5" "$folder/run/$file" ;;
      *) cp "$folder/run/masks/$variant/layer-002.h5" "$folder/run/$file" ;;
    esac
  done
  runs alone run "$folder/job.yaml" && same "$wanted" "$(fingerprint)" && same "$(cd "$folder/run" && find . -name '*~*' -o -name parts)" ""
}
check "what was removed and comes back goes" comes_back
check "another budget joins the run directory" eval '
  sed -i "s/budget: .*/budget: [{perplexity: 1.15}, {perplexity: 1.2}]/" "$folder/job.yaml" &&
  runs alone run "$folder/job.yaml" && no_unit_twice &&
  [ "$(jq -s ".[1].sparsity > .[0].sparsity" "$folder"/run/budget/wanda-budget1.{15,2}-*/result.json)" = true ]'

# ---- beside a sparsity of its own in the same run directory --------------------------------------------------

small_job "$folder/job.yaml" method=wanda pattern= 'energy=[]' output= "$few"
rm -rf "$folder/run"
check "a run without a budget has no held-out text" eval 'runs alone run "$folder/job.yaml" && not exists "$folder/run/held-out.h5"'
budget_job 1.2 'allocation: uniform' output= "$few"
check "a budget joins it" eval 'runs alone run "$folder/job.yaml" && no_unit_twice && exists "$folder/run/held-out.h5"'

# ---- a budget that nothing keeps -----------------------------------------------------------------------------

budget_job 1.05 'allocation: uniform' "$few"
printf '  ratios: {mlp.up_proj: 0.95}\n' >"$folder/more"
sed -i "/^  skip:/r $folder/more" "$folder/job.yaml"
rm -rf "$folder/run" "$folder/models"
broken() {
  exits 1 two_quiet_ranks run --progress none "$folder/job.yaml" &&
    grep -q "^coppice: .*prune.budget: no model is within 1.05 times .* a sparsity of 0.02 has" "$folder/stderr"
}
check "no model within the budget is an error, which says how near it came" broken
check "and leaves no model" eval 'not exists "$folder/models" && not exists "$folder/run/masks/wanda-budget1.05-uniform"'
check "the same again" broken
check "status says it as well" eval 'alone status "$folder/run" | grep -q "no model within the bound of 1.05, [1-6] attempt"'

# ---- refused -------------------------------------------------------------------------------------------------

budget_job 1.05 'sparsity: 0.5'
check "a budget and a sparsity" refused 2 prune.budget "leave one of them out"
budget_job 0.99 ''
check "a budget below the dense model" refused 2 prune.budget "a number above 1, to 1000, got 0.99"
head -n 1 "$folder/train.jsonl" | jq -c '.text |= .[0:400]' >"$folder/short.jsonl"
budget_job 1.3 '' corpus="$folder/short.jsonl" sequences=64
check "a corpus that has nothing left" refused 3 prune.budget "no sequence of 48 tokens left beside the 64"
