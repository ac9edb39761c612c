#!/usr/bin/env bash
# pack.sh - a text of short lines calibrates at any length: its documents are joined, the user is told, the run says so,
# any number of ranks draws the same, and what is asked for at the first start cannot be changed at a later one.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq
need h5dump

# Verses a line, blank lines between, as WikiText has them: the longest is far shorter than a sequence.
jq -r .text jobs/demo/train.jsonl | head -c 20000 | tr '.' '\n' | sed 's/$/ \n /' >"$folder/lines.raw"
job=$folder/job.yaml
# job [true|false]: calibration.pack, not in the file when it is not given.
job() {
  small_job "$job" method=wanda pattern= energy='[]' output= perplexity= length=200 corpus="$folder/lines.raw"
  [ $# = 0 ] || sed -i "s/keep_activations:/pack: $1, &/" "$job"
}
packed() { h5dump -a /tokens/packed "$folder/run/sequences.h5" | grep -q "(0): $1\$"; }
documents=$(grep -c '' "$folder/lines.raw")

job false
check "where that is forbidden, short documents are refused, and the way out is named" \
  refused 3 "$folder/lines.raw" "a sequence of 200 tokens" "calibration.pack: true joins them"

job
check "short documents are joined without being asked for" runs alone run "$job" --progress none
check "the user is told once" \
  same "$(grep -c "^coppice: calibration.pack: the longest document has .* so $documents documents were joined" "$folder/stderr")" 1
check "and so is the log" jq -e -s '[.[] | select(.event == "notice" and (.message | test("^calibration.pack")))] |
  length == 1' "$folder/run/log.jsonl"
check "the sequences say how many documents they are of" packed "$documents"
cp -a "$folder/run" "$folder/alone"

check "a later start goes on" runs alone run "$job" --progress none
check "and has nothing to tell" same "$(cat "$folder/stderr")" ""
job true
check "but not with another value" exits 2 alone run "$job" --progress none
check "which is named" one_line "$folder/run/run.json" "calibration.pack"

rm -rf "$folder/run"
check "asked for, they are joined by three ranks" runs ranks 3 run "$job" --progress none
check "without a notice" not grep -q calibration.pack "$folder/stderr"
check "the record says that it was asked for" jq -e '.job.calibration.pack == "true"' "$folder/run/run.json"
check "the sequences are the same" same "$(contents "$folder/run/sequences.h5")" "$(contents "$folder/alone/sequences.h5")"
check "so are the masks" same "$(contents "$folder"/run/masks/wanda-0.5/*.h5)" "$(contents "$folder"/alone/masks/wanda-0.5/*.h5)"

size=$(wc -c <"$folder/run/sequences.h5")
printf '\x55' | dd of="$folder/run/sequences.h5" bs=1 seek=$((size / 2)) conv=notrunc status=none
rm -r "$folder/run/statistics" "$folder/run/masks" "$folder/run/activations"
check "damaged sequences are joined and drawn again" runs ranks 2 run "$job" --progress none
check "and are the same again" same "$(contents "$folder/run/sequences.h5")" "$(contents "$folder/alone/sequences.h5")"

job auto
check "auto is what no value means" eval 'rm -rf "$folder/run"; cp -a "$folder/alone" "$folder/run"; runs alone run "$job"'
sed -i "s#corpus: [^,]*#corpus: $folder/alone/sequences.h5#; s/pack: auto/pack: true/" "$job"
check "token ids are not packed, and plan says so" exits 2 alone plan "$job"
check "by name" one_line "calibration.pack" ".h5"
