#!/usr/bin/env bash
# sweep.sh - a sweep costs what it must: one calibration, one pass over the scores of a layer and method, no weights
# that nobody asked for; the same masks and perplexities as the variants one by one; growing by what is new.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq
need h5dump

# The text is short: what counts here is not how well.
head -n 1 jobs/demo/test.jsonl | cut -c 1-1200 | sed 's/$/"}/' >"$folder/test.jsonl"
sweep_job() { small_job "$folder/job.yaml" propagation=dense output= energy='[]' "$@"; }
masks() { (cd "${1:-$folder/run}/masks" && find . -type f | sort | xargs sha256sum); }
perplexities() { (cd "${1:-$folder/run}/results" && jq -c '[.variant, .perplexity, .mean_nll]' */perplexity.json); }

# ---- one calibration, no weights --------------------------------------------------------------------------

sweep_job method='[wanda, sparsegpt]' sparsity='[0.3, 0.5]' pattern=2:4
check "a sweep ends well" runs ranks 2 run "$folder/job.yaml"
wanted=$(masks) wanted_results=$(perplexities)
check "each layer is calibrated once" same "$(logged_units | grep -c ^calibrate)" 4
check "the dense model is evaluated once" same "$(logged_units | grep -c '^evaluate null')" 1
check "every variant has its masks and its result" same "$(echo "$wanted" | wc -l) $(echo "$wanted_results" | wc -l)" "24 7"
check "there are no weights" not exists "$folder/run/weights/*/*"
check "nothing was compensated" not grep -q compensate <(logged_units)
check "status: complete" eval 'alone status "$folder/run" | grep -q ": complete$"'
check "verify: nothing is amiss" runs alone verify "$folder/run"
check "report" eval 'runs alone report "$folder/run" && jq -e "[.models[] | .sparsity // 0] | max > 0.49" "$folder/run/report.json"'
check "and again nothing is done" eval 'runs alone run "$folder/job.yaml" && no_unit_twice'

# Masks of a layer and method are begun together, and done together.
begun_together() {
  jq -r 'select(.stage == "score") | .event' "$folder/run/log.jsonl" | uniq -c | awk '$1 != 3 { bad = 1 } END { exit bad }'
}
rm -rf "$folder/run"
check "in one team" runs ranks 2 run --teams 1 "$folder/job.yaml"
check "three masks are cut from the same scores" begun_together
check "any teams, the same masks and results" same "$wanted $wanted_results" "$(masks) $(perplexities)"

# ---- the same as one by one ---------------------------------------------------------------------------------

one_by_one() {
  local variant method=$1 amount=$2
  rm -rf "$folder/run"
  case $amount in
    *:*) sweep_job method="$method" sparsity= pattern="$amount"; variant=$method-${amount/:/of} ;;
    *) sweep_job method="$method" sparsity="$amount" pattern=; variant=$method-$amount ;;
  esac
  runs alone run "$folder/job.yaml" && exists "$folder/run/weights/$variant/layer-003.h5" &&
    same "$(masks)" "$(echo "$wanted" | grep "/$variant/")" &&
    same "$(perplexities)" "$(echo "$wanted_results" | grep -e '"dense"' -e "\"$variant\"")"
}
# Alone a variant keeps its weights, and is measured from them: they are what the mask makes of the dense ones.
check "wanda 0.5 alone" one_by_one wanda 0.5
check "sparsegpt 2:4 alone" one_by_one sparsegpt 2:4

# ---- groups, and variants that differ in compensation only --------------------------------------------------

rm -rf "$folder/run"
sweep_job method=cvr sparsity='[0.3, 0.5]' pattern=2:4 group='[row, layer]' energy='[[], [rows], [columns]]'
check "rows, matrices, patterns, compensation" runs ranks 3 run "$folder/job.yaml"
wanted=$(masks)
same_masks() { # each file says whose it is: the datasets are what is compared
  local one
  for one in "$@"; do
    same "$(contents "$folder/run/masks/$1"/*.h5)" "$(contents "$folder/run/masks/$one"/*.h5)" || return 1
  done
}
check "compensation does not change masks" same_masks cvr-alpha0.25-0.5-layer cvr-alpha0.25-0.5-layer-rows cvr-alpha0.25-0.5-layer-columns
check "the group does" not same_masks cvr-alpha0.25-0.5-layer cvr-alpha0.25-0.5
check "weights of compensated variants are gone when they are measured" not exists "$folder/run/weights/*"
check "all are done" eval 'alone status "$folder/run" | grep -q ": complete$"'
check "and stay done" eval 'runs alone run "$folder/job.yaml" && no_unit_twice'
rm -rf "$folder/run"
sweep_job method=cvr sparsity=0.3 pattern= group=layer
check "a whole matrix alone" eval 'runs alone run "$folder/job.yaml" &&
  same "$(masks)" "$(echo "$wanted" | grep "/cvr-alpha0.25-0.3-layer/")"'

# A result that is lost takes the weights with it that it was measured from.
rm -rf "$folder/run"
sweep_job method=wanda sparsity=0.5 pattern=2:4 energy='[rows]'
check "compensated, measured" runs alone run "$folder/job.yaml"
check "what the compensation came to is kept" runs alone report "$folder/run"
energies='[.linears[] | select(.variant == "wanda-2of4-rows") | {layer, linear, energy_before, energy_pruned, energy_compensated}] | sort'
cp "$folder/run/report.json" "$folder/report.json"
wanted_results=$(perplexities)
rm "$folder/run/results/wanda-2of4-rows/perplexity.json"
check "a lost result is measured again" eval 'runs alone run "$folder/job.yaml" && same "$wanted_results" "$(perplexities)"'
check "from weights made again for it alone" same "$(logged_units | sort | uniq -d)" \
  "$(for l in 0 1 2 3; do echo "compensate wanda-2of4-rows $l"; done; echo "evaluate wanda-2of4-rows -1")"
check "weights are kept when asked" eval '
  sed -i "s/^compensate: {/compensate: {keep_weights: true, /" "$folder/job.yaml" && runs ranks 2 run "$folder/job.yaml" &&
  exists "$folder/run/weights/wanda-0.5-rows/layer-003.h5" && exists "$folder/run/weights/wanda-2of4-rows/layer-000.h5"'
check "and say the same of it" eval 'runs alone report "$folder/run" && jq -e "$energies | length == 28 and (map(.energy_compensated > 0) | all)" "$folder/report.json" &&
  same "$(jq -c "$energies" "$folder/report.json")" "$(jq -c "$energies" "$folder/run/report.json")"'

# ---- growing ------------------------------------------------------------------------------------------------

rm -rf "$folder/run"
sweep_job method='[magnitude, wanda]' sparsity='[0.3, 0.5]' pattern=
# Programs that are limited to some variants: one makes what they share, the other waits for that alone.
side_by_side() {
  local other code=0
  alone run --progress none --variant wanda-0.3 "$folder/job.yaml" >"$folder/other" 2>&1 &
  other=$!
  runs alone run --progress none --variant wanda-0.5 "$folder/job.yaml" || code=1
  wait $other || { cat "$folder/other"; code=1; }
  return $code
}
check "a run directory begins with any of its variants, side by side" side_by_side
check "which share the calibration, and leave the dense model to others" same \
  "$(logged_units | sort | uniq -c | awk '{ print $1, $2 }' | sort | uniq -c | xargs) $(logged_units | grep -c '^evaluate null')" \
  "4 1 calibrate 2 1 evaluate 8 1 score 0"
runs alone run "$folder/job.yaml"
before=$(masks; perplexities)
logged_units | sort >"$folder/before"
sweep_job method='[magnitude, wanda]' sparsity='[0.3, 0.4, 0.5]' pattern=
check "a sweep grows by a value" runs alone run "$folder/job.yaml"
new_units() {
  for m in magnitude wanda; do
    echo "evaluate $m-0.4 -1"
    for l in 0 1 2 3; do echo "score $m-0.4 $l"; done
  done | sort
}
check "only what is new is done" same "$(logged_units | sort | comm -13 "$folder/before" -)" "$(new_units)"
check "what was there is as it was" same "$(printf '%s\n' "$before" | sort)" "$( (masks; perplexities) | grep -v -e '-0\.4' | sort)"

# A job that asks for less, but measures more: what it asks for is done, whatever else there is or is not.
status() { alone status --json "$folder/run" | jq -e "$1"; }
rm "$folder/run/results/wanda-0.4/perplexity.json"
tail -n 1 jobs/demo/test.jsonl | cut -c 1-1200 | sed 's/$/"}/' >"$folder/more.jsonl"
sweep_job method=magnitude sparsity=0.3 pattern= perplexity='[test.jsonl, more.jsonl]'
check "a sweep shrinks to a variant" runs alone run "$folder/job.yaml"
check "which is complete" status '.complete and .done == .all and .fraction == 1 and
  (.variants[:2] | all(.asked and .stages.evaluate == {done: 2, all: 2}))'
check "what earlier jobs asked for is shown as it is" status '[.variants[] | select(.asked | not)] | length == 5 and
  all(.stages.score == {done: 4, all: 4} and .stages.evaluate == {done: (if .name == "wanda-0.4" then 0 else 1 end), all: 2})'
check "and so named" eval 'alone status "$folder/run" | grep -q "^wanda-0.4 .*evaluate 0/2  (of an earlier job)$"'
check "a report has all of it" eval 'runs alone report "$folder/run" && jq -e "[.models[].name] | length == 7" "$folder/run/report.json"'
sweep_job method='[magnitude, wanda]' sparsity='[0.3, 0.4, 0.5]' pattern=
check "stopped and gone on with, nothing is done twice" eval '
  rm -rf "$folder/run"; code=0; ranks 2 run --max-time 1 --margin 0 "$folder/job.yaml" >/dev/null 2>&1 || code=$?;
  [ $code = 75 ] || [ $code = 0 ]; runs ranks 2 run "$folder/job.yaml" && no_unit_twice &&
  same "$(printf "%s\n" "$before" | sort)" "$( (masks; perplexities) | grep -v -e "-0\.4" | sort)"'
