#!/usr/bin/env bash
# diagnose.sh - `coppice diagnose` gives the same bytes on any number of ranks, and stands in the report.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq

small_job "$folder/job.yaml" method='[wanda]' sparsity='[0, 0.5]' pattern= energy='[]' output= perplexity= propagation=dense
results() { (cd "$folder/run/results" && sha256sum ./*/diagnostics.json); }
check "before the run there is nothing to look at" exits 2 alone diagnose "$folder/job.yaml"
check "run" runs alone run "$folder/job.yaml"
check "diagnose a job" runs alone diagnose "$folder/job.yaml"
check "the dense model and every variant has its file" same "$(cd "$folder/run/results" && echo */diagnostics.json)" \
  "dense/diagnostics.json wanda-0.5/diagnostics.json wanda-0/diagnostics.json"
wanted=$(results)
rm "$folder"/run/results/*/diagnostics.json
check "diagnose a run, on three ranks" runs ranks 3 diagnose --json "$folder/run"
check "gives the same bytes" same "$wanted" "$(results)"
layers() { jq -S .layers "$folder/run/results/$1/diagnostics.json"; }
check "nothing pruned is nothing changed" same "$(layers dense)" "$(layers wanda-0)"
check "half pruned is" not same "$(layers dense)" "$(layers wanda-0.5)"
check "every measure of every layer and head is there, and within its bounds" jq -e '(.layers | length == 4) and all(.layers[];
  (.adjacent | length == 4 and all(.overlap >= 0 and .overlap <= 1.000001 and .chance == .k / .dimension)) and
  (.heads.query_key | length == 4 and all(. >= 0 and . <= 1.000001)) and (.heads.value_output | length == 4) and
  (.commutators | length == 1 and all(.magnitude > 0 and .magnitude < 1.5)))' "$folder/run/results/wanda-0.5/diagnostics.json"
check "the files verify" runs alone verify "$folder/run"
check "they stand in the report" runs alone report "$folder/run"
check "with their means" jq -e '.models | map(.alignment.adjacent) | length == 3 and .[0] == .[1] and .[2] < .[0]' "$folder/run/report.json"
rm "$folder/run/weights/wanda-0.5/layer-002.h5" "$folder/run/results/wanda-0.5/diagnostics.json"
check "a variant that is not complete is left out" runs alone diagnose "$folder/run"
check "and named, with what makes it" grep -qx 'coppice: wanda-0.5 is left out: its weights are not complete; coppice run JOB.yaml makes the rest' "$folder/stderr"
small_job "$folder/job.yaml" run="$folder/dropped" method='[wanda]' pattern= energy='[rows]' output= propagation=dense compensate=', keep_weights: false'
check "a job that does not keep weights" runs alone run "$folder/job.yaml"
check "has none to look at" runs alone diagnose "$folder/dropped"
check "and is told how to get them" grep -q 'wanda-0.5-rows is left out: its weights were not kept; coppice run --set compensate.keep_weights=true JOB.yaml makes them again' "$folder/stderr"
check "which it does" runs alone run --set compensate.keep_weights=true "$folder/job.yaml"
check "so that they are looked at" runs alone diagnose "$folder/dropped"
check "all of them" not grep -q 'left out' "$folder/stderr"
