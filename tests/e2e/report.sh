#!/usr/bin/env bash
# report.sh - `coppice report` needs no launcher and no model; page, table and JSON say what the run's files say.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq

cp -r jobs/demo/kjv-llama-1m "$folder/model"
small_job "$folder/job.yaml" model="$folder/model" method='[wanda, ria]' sparsity='[0.5, 0.7]' output=
sed -i 's/^compensate: {/compensate: {keep_weights: true, /' "$folder/job.yaml"
check "a folder that is no run is refused" exits 2 alone report "$folder"
check "run" runs ranks 2 run --teams 2 "$folder/job.yaml"
rm -r "$folder/model"
report=$folder/run/report.json
says() { jq -e "$1" "$report" >/dev/null || { jq . "$report" | head -50; return 1; }; }

check "report" runs alone report "$folder/run"
check "has the dense model and every variant" says '[.models[].variant] | length == 7 and .[0] == "dense"'
perplexities() {
  local file
  for file in "$folder"/run/results/*/perplexity.json; do
    jq -r '"\(input_filename | split("/")[-2]) \(.perplexity)"' "$file"
  done | sort
}
check "with their perplexities" same "$(perplexities)" "$(jq -r '.models[] | "\(.variant) \(.perplexity)"' "$report" | sort)"
check "every linear of every layer, pruned as asked" says '(.linears | length) == 6 * 4 * 7 and
  all(.linears[]; .variant | endswith("0.5-columns-rows") | not) == false and
  ([.linears[] | select(.variant == "wanda-2of4-columns-rows")] | all(.kept * 2 == .weights and .sparsity == 0.5))'
check "energies fall by pruning and come back by compensation" says \
  '[.linears[] | select(.energy_pruned < .energy_before and .energy_compensated > .energy_pruned)] | length > 100'
check "channels of every stream" says '([.channels[].stream] | unique | length == 6) and
  all(.channels[]; .tokens == 240 and .second_moment.min <= .second_moment.median and .second_moment.median <= .second_moment.max)'
check "time of both ranks" says '[.times[] | select(.seconds.score > 0) | .rank] | sort == [0, 1]'
check "provenance" says '.provenance.versions.coppice and .provenance.fingerprints.model and .starts[0].ranks == 2'
check "nothing is missing" says '.missing == []'

digits() { awk '{ printf "%s %.17g\n", $1, $2 }'; }
check "the table has the same numbers" same "$(perplexities | digits)" "$(results_column "$folder/run" perplexity | sort | digits)"
check "and the JSON of results has them" same "$(perplexities)" \
  "$(alone results --json "$folder/run" | jq -r '.[] | "\(.variant) \(.perplexity)"' | sort)"
check "results prints the same table" same "$(alone results "$folder/run")" "$(cat "$folder/run/results.csv")"
paired='def mean: add / length; [.[0].window_nll, .[1].window_nll] | transpose | map(.[0] - .[1]) as $d | ($d | mean) as $m |
  ($d | map((. - $m) * (. - $m)) | add / (length - 1) / length | sqrt)'
check "the error of times dense is that of the windows' differences" near \
  "$(jq '.models[] | select(.variant == "ria-0.5-columns-rows") | .ratio_stderr / .ratio' "$report")" \
  "$(jq -s "$paired" "$folder"/run/results/{ria-0.5-columns-rows,dense}/perplexity.json)" 1e-9
check "time and memory of every variant" says '.models | all(.rank_seconds > 0 and .peak_memory > 1e6 and .seconds.evaluate > 0)'
best=$(jq -r '[.models[] | select(.target == 0.5 and .choice.pattern == null)] | min_by(.perplexity).variant' "$report")
check "the page begins with the best variant" bash -c "grep -m 1 -A 1 'class=\"verdict\"' '$folder/run/report.html' |
  grep -q 'At 50 % the best is <b>$best</b>: perplexity .* &plusmn; .* times the dense model'"
check "the page names every variant" bash -c "for v in \$(jq -r '.models[].variant' '$report'); do grep -q \">\$v<\" '$folder/run/report.html' || exit 1; done"
check "and loads nothing" bash -c "! grep -E 'src=|url\(|@import|<link' '$folder/run/report.html'"
check "and has colours for dark screens" grep -q 'prefers-color-scheme:dark' "$folder/run/report.html"
check "the run still verifies" runs alone verify "$folder/run"

# A log is a text that anybody may have written.
jq -c --arg name "$(printf 'x\033[2J\302\23331m\342\200\256<script>\n=1+1')" 'select(.event == "unit" or .event == "start") |
  .stage = $name | .node = $name | .process = $name | .command = $name | .version = $name | .slurm_job = $name | .task = $name' \
  "$folder/run/log.jsonl" | head -n 20 >"$folder/hostile"
cp "$folder/run/log.jsonl" "$folder/log"
cat "$folder/hostile" >>"$folder/run/log.jsonl"
shown() {
  runs alone report "$folder/run" && runs alone status "$folder/run" && alone results "$folder/run" >"$folder/table" || return 1
  cat "$folder/stdout" "$folder/stderr" "$folder/table" "$folder"/run/report.{html,json} "$folder/run/results.csv" |
    grep -aP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|<script>=' && return 1
  grep -q 'x \[2J' "$folder/run/report.json"
}
check "nothing that a log says reaches a terminal or a page as such" shown
cp "$folder/log" "$folder/run/log.jsonl"
runs alone report "$folder/run"

echo mine >"$folder/page.html"
check "a page goes where it is asked for" eval 'runs alone report --html "$folder/other.html" "$folder/run" &&
  runs alone report --html "$folder/other.html" "$folder/run" && same "$(cat "$folder/other.html")" "$(cat "$folder/run/report.html")"'
check "not over what coppice did not make" exits 2 alone report --html "$folder/page.html" "$folder/run"
check "which it names" eval 'one_line "$folder/page.html is there" && same mine "$(cat "$folder/page.html")"'
not_over() {
  local before
  mv "$folder/run/$1" "$folder/kept" && echo mine >"$folder/run/$1"
  before=$(cd "$folder/run" && sha256sum report.html report.json results.csv)
  exits 2 alone report "$folder/run" && one_line "$folder/run/$1 is there" &&
    same "$before" "$(cd "$folder/run" && sha256sum report.html report.json results.csv)" && mv "$folder/kept" "$folder/run/$1"
}
for file in report.html report.json results.csv; do
  check "nor does a report take the place of somebody's $file in the run directory" not_over $file
done

if command -v gnuplot >/dev/null; then
  check "its plots are of the page's colours" bash -c "grep -c '<svg' '$folder/run/report.html' | grep -qv '^0' && ! grep -E 'color=\"black\"|rgb\(0,0,0\)|rgb\( *1, *2, *3\)' '$folder/run/report.html'"
  check "no id is used twice" same "$(grep -oE " id=['\"][^'\"]*" "$folder/run/report.html" | sort | uniq -d)" ""
fi
mkdir "$folder/nothing"
without_gnuplot() { PATH=$folder/nothing "$COPPICE" report "$folder/run" >"$folder/stdout"; }
check "without gnuplot the report is made" without_gnuplot
check "its tables have bars" grep -q 'class="bar" style="--share:' "$folder/run/report.html"
check "and says that it has no plots" bash -c "grep -q 'gnuplot is not installed' '$folder/run/report.html' && ! grep -q '<svg' '$folder/run/report.html'"

: >"$folder/run/weights/ria-0.5-columns-rows/layer-001.h5"
check "with a damaged file the report is made" runs alone report "$folder/run"
check "and names it" says '.missing | length == 1 and (.[0] | contains("ria-0.5-columns-rows/layer-001.h5"))'
