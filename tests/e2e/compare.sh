#!/usr/bin/env bash
# compare.sh - `coppice compare` puts runs side by side and says when their numbers may not be compared.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq

run_as() {
  local run=$1
  shift
  small_job "$folder/job.yaml" run="$folder/$run" output= propagation=dense pattern= energy='[]' "$@"
  runs alone run "$folder/job.yaml" || { echo "$run"; return 1; }
}
check "a run" run_as a
check "one with another seed and one more method" run_as b seed=4 method='[wanda, cvr, ria]'
check "one measured at another length" run_as c evaluate_length=32 method='[ria]'
compare() { exits 0 alone compare "$@"; }
says() { jq -e "$1" "$folder/stdout" || { cat "$folder/stdout"; return 1; }; }
values() { jq -r '.perplexity' "$folder/$1/results/$2/perplexity.json"; }

check "two runs" compare --json "$folder/a" "$folder/b"
check "are of one model and measured alike" says '.same_model and .same_evaluation and .warnings == []'
check "every variant of either has a line" says '[.variants[].variant] == ["dense", "wanda-0.5", "cvr-alpha0.25-0.5", "ria-0.5"]'
check "with the perplexities of both" same "$(values a wanda-0.5) $(values b wanda-0.5)" \
  "$(jq -r '.variants[1].perplexity | "\(.[0]) \(.[1])"' "$folder/stdout")"
check "and nothing where a run has none" says '.variants[3].perplexity[0] == null and .variants[3].perplexity[1] > 1'
check "the same as a table" compare "$folder/a" "$folder/b"
check "in two columns" grep -qE '^ria-0.5 +- +[0-9.]+$' "$folder/stdout"
check "without a warning" test ! -s "$folder/stderr"
check "a variant that only one has stands where its job has it" compare --json "$folder/c" "$folder/b"
check "whichever run is named first" says '[.variants[].variant] == ["dense", "wanda-0.5", "cvr-alpha0.25-0.5", "ria-0.5"]'
check "another length is warned of" compare --json "$folder/a" "$folder/c"
check "in the object" says '.same_model and (.same_evaluation | not) and (.warnings | length) == 1'
check "and on standard error" grep -q 'careful: .*different sequence lengths' "$folder/stderr"
check "a run that stopped before it measured" bash -c "cp -r '$folder/a' '$folder/f' && rm -r '$folder/f/results'"
check "is shown beside another" compare "$folder/a" "$folder/f"
check "as one without a perplexity" bash -c "grep -q '/f: .*, no perplexity measured\$' '$folder/stdout'"
check "and nothing is different" test ! -s "$folder/stderr"
jq '.fingerprints.model[0].xxh3 = "0123456789abcdef" | del(.xxh3)' "$folder/b/run.json" >"$folder/changed"
check "what is no run is refused" exits 2 alone compare "$folder/a" "$folder"
check "a record that was changed by hand is refused" bash -c "
  cp '$folder/b/run.json' '$folder/kept' && cp '$folder/changed' '$folder/b/run.json' &&
  ! '$COPPICE' compare '$folder/a' '$folder/b' 2>/dev/null; code=\$?; cp '$folder/kept' '$folder/b/run.json'; exit \$code"
check "a page" compare --html "$folder/page.html" "$folder/a" "$folder/b" "$folder/c"
check "with a warning and every variant" bash -c "grep -q 'class=\"warning\"' '$folder/page.html' && grep -q '>ria-0.5<' '$folder/page.html'"
if command -v gnuplot >/dev/null; then
  check "and a plot of all runs" bash -c "grep -q '\[3\] ria' '$folder/page.html' && grep -q '<svg' '$folder/page.html'"
fi
check "other commands do not take --html" exits 2 alone status --html x "$folder/a"

# What products were computed in.
computed() {
  run_as e && printf 'compute: bf16_emulated\n' >>"$folder/job.yaml" && rm -r "$folder/e" && runs alone run "$folder/job.yaml" &&
    compare "$folder/a" "$folder/e" && grep -q '/e: .*computed in bf16_emulated, ' "$folder/stdout" &&
    ! grep -q '/a: .*computed in' "$folder/stdout" && compare --json "$folder/a" "$folder/e" &&
    says '[.runs[].compute] == [null, "bf16_emulated"]'
}
check "what was not computed in float32 is named" computed

# Published perplexities, `expected` in the job.
expect() {
  small_job "$folder/job.yaml" run="$folder/$1" output= propagation=dense pattern= energy='[]' method='[wanda]'
  printf 'expected:\n' >>"$folder/job.yaml"
  printf '  %s\n' "${@:2}" >>"$folder/job.yaml"
}
paper="a <paper>, table 1"
expect d "dense: {perplexity: 20.5, length: 64, source: '$paper'}" "wanda-0.5: {perplexity: 30, length: 32, source: b}"
check "a job with published perplexities" runs alone run "$folder/job.yaml"
dense=$(values d dense) wanda=$(values d wanda-0.5)
check "one run is compared with them" compare --json "$folder/d"
check "the difference is measured less published" says ".variants[0].published == [{perplexity: 20.5, length: 64,
  source: \"$paper\", measured: $dense, measured_length: 64, difference: ($dense - 20.5)}]"
check "there is none at another length" says ".variants[1].published[0] | .difference == null and
  .measured == $wanda and .length == 32 and .measured_length == 64"
check "which is warned of" grep -q 'careful: .*published at other sequence lengths' "$folder/stderr"
check "beside a run without any" compare "$folder/a" "$folder/d"
check "they have a table of their own" grep -qE "^dense +64 +20.5000 +[0-9.]+ +[+-][0-9.]+  $paper\$" "$folder/stdout"
check "with the length of each" grep -qE '^wanda-0.5 +32 +30.0000 +[0-9.]+ +-  b$' "$folder/stdout"
check "which says whose they are" bash -c "grep -c '^published' '$folder/stdout' | grep -qx 1 && grep -q '^published \[2\]' '$folder/stdout'"
check "runs without have none" bash -c "'$COPPICE' compare '$folder/a' '$folder/b' | grep -c published | grep -qx 0"
check "on the page" bash -c "'$COPPICE' compare --html '$folder/page.html' '$folder/a' '$folder/d' >'$folder/stdout' 2>&1 &&
  grep -q 'a &lt;paper&gt;, table 1' '$folder/page.html'"
check "in the report" runs alone report --json "$folder/d"
check "with the same numbers" says ".models[0].published.difference == ($dense - 20.5) and .models[1].published.difference == null"
check "on its page" grep -q 'a &lt;paper&gt;, table 1' "$folder/d/report.html"
check "and in results.csv" same "$(results_column "$folder/d" published_length)" "dense 64
wanda-0.5 32"

expect d "dense: {perplexity: 21, length: 64, source: c}"
check "they may change" runs alone run "$folder/job.yaml"
check "and are on record" jq -e '.job.expected == [{variant: "dense", perplexity: 21.0, length: 64, source: "c"}]' "$folder/d/run.json"
check "nothing was done again" no_unit_twice "$folder/d"
expect e "wanda-0.6: {perplexity: 21, length: 64, source: c}"
check "a name that is no variant's is refused" exits 2 alone run "$folder/job.yaml"
check "with file and line" one_line "job.yaml:$(wc -l <"$folder/job.yaml"): expected: 'wanda-0.6' is no variant of this job"
