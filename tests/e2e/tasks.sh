#!/usr/bin/env bash
# tasks.sh - tasks are measured for the dense model and every variant, resumed one by one, shown everywhere; the same
# bytes for any number of ranks; what is bad is refused with file and line.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
export "$kill_at_once"
need jq
cp -r tests/golden/tasks "$folder/tasks"
tasks=$folder/tasks

# job TASKS [KEY=VALUE...]
texts=""
job() {
  local list=$1
  shift
  small_job "$folder/job.yaml" method=wanda pattern= energy='[]' perplexity= output= "$@"
  echo "evaluate: {tasks: [$list]$texts}" >>"$folder/job.yaml"
}
three="{name: boolq, data: $tasks/boolq.jsonl}, $tasks/ARC-Easy-Test.jsonl, {data: $tasks/lambada.jsonl, limit: 4}"
result() { jq -c "$2" "$folder/${3:-run}/results/$1.json"; }
says() { jq -e "$1" "$folder/stdout" >/dev/null || { cat "$folder/stdout"; return 1; }; }

head -n 20 jobs/demo/train.jsonl | tail -n 2 | sed 's/"text"/"verse"/' >"$folder/second.jsonl"
texts=", length: 64, perplexity: [$folder/test.jsonl, {name: gospel, data: $folder/second.jsonl}]"
job "$three"
check "a text without the usual field is refused" eval 'exits 3 alone plan "$folder/job.yaml" && one_line "second.jsonl:1: the object has no string \"text\""'
texts=", length: 64, perplexity: [{data: $folder/test.jsonl, field: text}, {name: gospel, data: $folder/second.jsonl, field: verse}]"
job "$three"
check "plan" exits 0 alone plan --json "$folder/job.yaml"
check "counts a unit for each task and model" says '.stages.tasks.units == 6 and .stages.tasks.done == 0 and .stages.tasks.work > 0'
check "run" runs ranks 2 run "$folder/job.yaml"
cp "$folder/stdout" "$folder/stdout.run"
check "ends with a table" grep -qE '^wanda-0.5 +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+$' "$folder/stdout"
check "the numbers are the harness's" same "$(jq '.boolq.acc, .arc_easy.acc, .arc_easy.acc_norm' tests/golden/tasks.json)" \
  "$(result dense/tasks/boolq .acc; result dense/tasks/ARC-Easy-Test .acc; result dense/tasks/ARC-Easy-Test .acc_norm_characters)"
check "with what they depend on" same '["boolq",6,2,false]' "$(result dense/tasks/boolq '[.format, .examples, .truncated, .special_tokens]')"
check "a limit is kept" same 4 "$(result wanda-0.5/tasks/lambada .examples)"
check "without choices there is a perplexity" result wanda-0.5/tasks/lambada '.perplexity > 1 and .acc_norm == null'
check "the pruned model is another" test "$(result dense/tasks/lambada .perplexity)" != "$(result wanda-0.5/tasks/lambada .perplexity)"
check "the run verifies" runs alone verify "$folder/run"
check "both texts have columns" grep -qE '^variant +test +x dense +gospel +x dense' "$folder/stdout.run"
check "the first text has its old place, the other a file of its name" \
  eval 'result dense/perplexity ".text == null and .perplexity > 1" && result wanda-0.5/texts/gospel ".text == \"gospel\""'
check "status" exits 0 alone status --json "$folder/run"
check "is complete, with all tasks" says '.complete and (.variants | all(.stages.tasks == {done: 3, all: 3}))'
check "evaluate --json" exits 0 alone evaluate --json "$folder/job.yaml"
check "has every task and their mean" says '.results | all((.tasks | keys | length) == 3 and
  ([.tasks[].acc] | add / 3 - 1e-9) < .mean_acc and ([.tasks[].acc] | add / 3 + 1e-9) > .mean_acc)'
check "report" exits 0 alone report "$folder/run"
check "has them" jq -e '(.models | all(.tasks.boolq.acc_stderr > 0)) and .missing == []' "$folder/run/report.json"
check "so has its table" same "$(results_column "$folder/run" boolq.acc | awk '{ print $1, $2 + 0 }')" \
  "$(jq -r '.models[] | "\(.variant) \(.tasks.boolq.acc)"' "$folder/run/report.json" | awk '{ print $1, $2 + 0 }')"
check "and its page" grep -q '>ARC-Easy-Test</button>' "$folder/run/report.html"
check "and both texts" jq -e '.models | all(.texts | keys == ["gospel", "test"])' "$folder/run/report.json"
check "on the page too" grep -q '>gospel</button>' "$folder/run/report.html"
check "with a table for each" same "$(grep -oE '<h3>Perplexity on [a-z]*' "$folder/run/report.html")" "<h3>Perplexity on test
<h3>Perplexity on gospel"
check "whose best is the text's own" grep -qF "data-value=\"$(result wanda-0.5/texts/gospel .perplexity | awk '{ printf "%.17g", $1 }')\"><b>" "$folder/run/report.html"
check "and it says which of them decides" grep -q 'Perplexity here is that on test, the first of 2 texts' "$folder/run/report.html"
check "each with its error" jq -e '.models[1] | .texts.test.ratio_stderr == .ratio_stderr and .ratio_stderr > 0 and
  .texts.gospel.perplexity_stderr > 0' "$folder/run/report.json"
if command -v gnuplot >/dev/null; then
  check "and a plot" grep -q 'aria-label="Perplexity on gospel\. ' "$folder/run/report.html"
fi

# ---- the same bytes, and one task at a time -------------------------------------------------------------

three_ranks() {
  job "$three" run="$folder/other"
  runs ranks 3 run "$folder/job.yaml" && diff -r "$folder/run/results" "$folder/other/results"
}
check "three ranks give the same bytes" three_ranks
check "two runs are compared, on each text" eval 'exits 0 alone compare "$folder/run" "$folder/other" &&
  same "$(sed -n "/^perplexity on gospel/,/^wanda/s/^\(dense\|wanda-0.5\) */\1 /p" "$folder/stdout")" \
    "$(for model in dense wanda-0.5; do result $model/texts/gospel .perplexity | awk -v m=$model "{ printf \"%s %12.4f %12.4f\n\", m, \$1, \$1 }" | sed "s/  */ /"; done)"'
check "two runs are compared" exits 0 alone compare --json "$folder/run" "$folder/other"
check "task by task" says '.same_tasks and .variants[1].tasks.boolq[0].acc == .variants[1].tasks.boolq[1].acc'
check "also as a table" exits 0 alone compare "$folder/run" "$folder/other"
check "with a table for each" grep -q '^boolq, acc in per cent' "$folder/stdout"

resumed() {
  job "$three"
  cp -r "$folder/run/results" "$folder/before"
  rm "$folder/run/results/dense/tasks/boolq.json"
  echo >>"$folder/run/results/wanda-0.5/tasks/lambada.json"
  runs alone run "$folder/job.yaml" && diff -r "$folder/run/results" "$folder/before" &&
    same 2 "$(grep -c ' acc ' "$folder/stderr")"
}
check "a result that is gone or damaged is made again, and no other" resumed
# Of texts: one that has changed is refused by name, one that the job no longer names stays on record.
another_text() {
  cp "$folder/second.jsonl" "$folder/kept.jsonl"
  head -n 1 "$folder/kept.jsonl" >"$folder/second.jsonl"
  exits 2 alone run "$folder/job.yaml" && one_line "evaluate.perplexity: $folder/second.jsonl has changed since the run was begun: put it back as it was, or give the text another name"
  local code=$?
  cp "$folder/kept.jsonl" "$folder/second.jsonl"
  return $code
}
check "another text under the same name" another_text
fewer_texts() {
  local both=$texts
  texts=", length: 64, perplexity: $folder/test.jsonl"
  job "$three"
  texts=$both
  runs alone run "$folder/job.yaml" && same 1 "$(grep -c '"name": *"gospel"' "$folder/run/run.json")" &&
    alone report --json "$folder/run" | jq -e '.models | all(.texts.gospel.perplexity > 1)'
}
check "a text that is left out stays on record" fewer_texts
added() {
  job "$three, {data: $tasks/continuation.jsonl}"
  runs alone evaluate "$folder/job.yaml" && same 2 "$(grep -c ' acc ' "$folder/stderr")"
}
check "a task may be added" added
job "$tasks/continuation.jsonl"
check "and left out" runs alone evaluate "$folder/job.yaml"
check "it stays on record" same '["continuation","boolq","ARC-Easy-Test","lambada"]' "$(jq -c '[.job.evaluate.tasks[].name]' "$folder/run/run.json")"
job "{name: boolq, data: $tasks/boolq.jsonl, limit: 2}"
check "one that is not the same is refused" exits 2 alone run "$folder/job.yaml"
check "by name" grep -q 'task boolq: limit: nothing before, 2 now' "$folder/stderr"
job "{name: boolq, data: $tasks/rte.jsonl}"
check "another file of that name, too" exits 2 alone run "$folder/job.yaml"
check "and said so" grep -q "evaluate.tasks: the run was begun with .*boolq.jsonl, and .*rte.jsonl is something else" "$folder/stderr"

exported() {
  job "$tasks/boolq.jsonl" run="$folder/third" output="$folder/models"
  runs alone run "$folder/job.yaml" &&
    jq -e '.tasks.dense.boolq.acc >= 0 and .tasks.pruned.boolq.examples == 6' "$folder/models/coppice.json"
}
check "an exported model says how it did" exported

# ---- bad input ------------------------------------------------------------------------------------------

bad() {
  local name=$1 text=$2
  shift 2
  printf '%s\n' "$text" >"$folder/bad.jsonl"
  job "$folder/bad.jsonl"
  check "$name" refused 3 "$folder/bad.jsonl" "$@"
}
bad "a right answer that is none" '{"query": "a", "choices": ["b"], "gold": 1}' "bad.jsonl:1" gold
bad "no known task" '{"a": 1}' "bad.jsonl:1" "known formats"
bad "a continuation longer than the model" "{\"context\": \"a\", \"continuation\": \"$(printf 'ab %.0s' {1..900})\"}" "bad.jsonl:1" positions
job "{data: $tasks/boolq.jsonl, fewshot: 5}"
check "an unknown key" refused 2 "job.yaml:12: evaluate.tasks: unknown key fewshot"
job "$folder/nowhere.jsonl"
check "a file that is not there" refused 2 "nowhere.jsonl"
