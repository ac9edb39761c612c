#!/usr/bin/env bash
# json.sh - what the commands print for machines parses and says the same as the files; for people, there is a table.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq

job=$folder/job.yaml
small_job "$job" method='[magnitude, cvr]' sparsity=0.5 pattern=2:4 energy='[[], [rows]]'
names='["dense","magnitude-0.5","magnitude-0.5-rows","magnitude-2of4","magnitude-2of4-rows",
  "cvr-alpha0.25-0.5","cvr-alpha0.25-0.5-rows","cvr-alpha0.25-2of4","cvr-alpha0.25-2of4-rows"]'

# says FILTER COMMAND...: what the command prints is one JSON value for which the filter holds.
says() {
  local filter=$1
  shift
  runs "$@" && jq -e -s "length == 1 and (.[0] | $filter)" "$folder/stdout" >"$folder/verdict" ||
    { cat "$folder/stdout"; return 1; }
}

# ---- before anything is there ------------------------------------------------------------------------------

check "plan lists the variants by name, dense first" says "[.variants[].name] == $names" alone plan --json "$job"
check "plan says what a variant is" says '
  (.variants[] | select(.name == "cvr-alpha0.25-2of4-rows") | .method == "cvr" and .pattern == "2:4" and .alpha == 0.25
    and .energy == ["rows"]) and
  (.variants[] | select(.name == "magnitude-0.5") | .sparsity == 0.5 and .group == "row" and .energy == [])' \
  alone plan --json "$job"
check "plan says units, memory, disk and work" says '
  .stages.calibrate.units == 32 and .stages.calibrate.done == 0 and .stages.evaluate.units == 9 and
  .stages.export.units == 8 and ([.memory.rank, .memory.node_shared, .memory.peak_resident] | all(. > 0)) and
  ([.disk.statistics, .disk.activations, .disk.masks, .disk.weights, .disk.output] | all(. > 0)) and .work > 0 and
  .ranks == 2' ranks 2 plan --json "$job"
check "plan reads no weights and makes nothing" nothing_made
check "plan as a table" runs alone plan "$job"
check "has every variant" same "$(grep -c -E '^ +(dense|magnitude-|cvr-)' "$folder/stdout")" 9

# ---- half-way ----------------------------------------------------------------------------------------------

small_job "$folder/first.yaml" method=magnitude sparsity=0.5 pattern= energy='[]' output="$folder/models/magnitude-0.5"
check "run --json gives every perplexity" says '
  [.results[].variant] == ["dense", "magnitude-0.5"] and ([.results[] | .perplexity > 1 and .length == 64] | all)' \
  ranks 2 run --json "$folder/first.yaml"
check "progress goes to standard error, as plain lines" grep -q '100.0 %' "$folder/stderr"
check "--quiet is quiet" eval 'runs alone run --quiet --json "$folder/first.yaml" && [ ! -s "$folder/stderr" ]'
check "plan counts what is done" says '.stages.calibrate.done == 4 and .stages.evaluate.done == 2' alone plan --json "$job"
check "status says what is done" says '
  .complete and .done == .all and [.variants[].name] == ["dense", "magnitude-0.5"]' alone status --json "$folder/run"
rm "$folder/run/weights/magnitude-0.5/layer-003.h5"
check "status says what is to do" says '
  .complete == false and .done == .all - 1 and
  (.variants[] | select(.name == "magnitude-0.5") | .stages.compensate == {done: 3, all: 4})' \
  alone status --json "$folder/run"
check "status as a table" eval 'runs alone status "$folder/run" && grep -q "magnitude-0.5 .*compensate 3/4" "$folder/stdout"'

# ---- the whole sweep ---------------------------------------------------------------------------------------

check "the sweep grows" says "[.results[].variant] == $names and ([.results[] | .perplexity > 1] | all)" \
  ranks 2 run --json "$job"
cp "$folder/stdout" "$folder/results"
check "results name the exported folders" eval '
  [ "$(jq -r ".results[].output // empty" "$folder/results" | xargs ls -d | wc -l)" = 8 ]'
same_results() {
  runs alone evaluate --json "$job" && same "$(jq -S '[.results[] | del(.output)]' "$folder/stdout")" \
    "$(jq -S '[.results[] | del(.output)]' "$folder/results")"
}
stored_results() {
  local name
  for name in $(jq -r '.[]' <<<"$names"); do
    same "$(jq -c "[.perplexity, .tokens, .windows, .length]" "$folder/run/results/$name/perplexity.json")" \
      "$(jq -c ".results[] | select(.variant == \"$name\") | [.perplexity, .tokens, .windows, .length]" "$folder/results")" ||
      return 1
  done
}
check "evaluate --json says the same again" same_results
check "so do the files" stored_results
check "verify --json" says '.damaged == [] and .files > 60' alone verify --json "$folder/run"
check "every line of the log is JSON" eval '
  [ "$(jq -c . "$folder/run/log.jsonl" | wc -l)" = "$(wc -l <"$folder/run/log.jsonl")" ] &&
  jq -e -s "all(.time != null and .event != null and .version != null and .ranks > 0)" "$folder/run/log.jsonl"'
