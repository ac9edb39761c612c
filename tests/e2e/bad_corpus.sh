#!/usr/bin/env bash
# bad_corpus.sh - a broken corpus is refused with exit code 3 and one line that names the file and the place, leaves
# nothing, and does not stand in the way of the same job once the corpus is mended. The same documents give the same
# masks from every kind of file, and what is read otherwise than its name says is told.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# mpirun would wait two seconds for ranks that have ended by themselves, at every refusal.
export "$kill_at_once"
need gzip
need jq
need h5dump

# bad NAME FILE WORDS [KEY=VALUE...]: FILE, made before, as the calibration's corpus.
bad() {
  local name=$1 file=$2 words
  IFS='|' read -r -a words <<<"$3"
  shift 3
  small_job "$folder/job.yaml" method=magnitude pattern= corpus="$file" "$@"
  check "$name" refused 3 "$file" "${words[@]}"
}
small_job "$folder/job.yaml" # makes the small texts
long=$(jq -r .text jobs/demo/train.jsonl | head -c 3000 | tr '\n"\\' '   ')

: >"$folder/empty.txt"
bad "an empty text" "$folder/empty.txt" empty
: >"$folder/empty.jsonl"
bad "a corpus without documents" "$folder/empty.jsonl" empty
echo '{"text": "In the beginning"}' >"$folder/short.jsonl"
bad "shorter than one sequence" "$folder/short.jsonl" 48
printf '{"text": "%s"}\n{"text": "broken\n' "$long" >"$folder/json.jsonl"
bad "a line that is no JSON" "$folder/json.jsonl" "json.jsonl:2"
printf '{"text": "%s"}\n{"words": "none"}\n' "$long" >"$folder/text.jsonl"
bad "a line without text" "$folder/text.jsonl" "text.jsonl:2|calibration.field"
printf '{"text": "%s"}\n{"text": "a\xff"}\n' "$long" >"$folder/utf8.jsonl"
bad "broken UTF-8 in a line" "$folder/utf8.jsonl" "utf8.jsonl:2|UTF-8"
sed 's/^{"text"/{"words"/' "$folder/train.jsonl" >"$folder/words.jsonl"
small_job "$folder/job.yaml" method=magnitude pattern= corpus="$folder/words.jsonl, field: words"
check "another field of the lines can be the text" runs alone calibrate "$folder/job.yaml"
mv "$folder/run/sequences.h5" "$folder/sequences.h5"
small_job "$folder/job.yaml" method=magnitude pattern= perplexity="$folder/words.jsonl"
check "a text to evaluate says how its field is named" refused 3 "words.jsonl:1" 'it has "words"' \
  "evaluate.perplexity: {data: FILE, field: NAME}"
small_job "$folder/job.yaml" method=magnitude pattern= perplexity="$folder/sequences.h5"
check "token ids are no text to evaluate" refused 3 "sequences.h5" "an HDF5 file" "for the calibration only"
rm -rf "$folder/run"
small_job "$folder/job.yaml" method=magnitude pattern= corpus="$folder/test.jsonl, field: words"
sed -i "s#test.jsonl#none.txt#" "$folder/job.yaml"; echo "$long" >"$folder/none.txt"
check "a text without fields has none to name" refused 2 calibration.field "none.txt"
small_job "$folder/job.yaml" method=magnitude pattern= perplexity="{data: $folder/none.txt, field: body}"
check "nor has one that is evaluated" refused 2 evaluate.perplexity.field "none.txt"
printf '%s\nfine\n\xc3(\n' "$long" >"$folder/utf8.txt"
bad "broken UTF-8 in a text" "$folder/utf8.txt" "UTF-8|utf8.txt:3"
gzip -c "$folder/train.jsonl" | head -c 2000 >"$folder/cut.jsonl.gz"
bad "a gzip stream that ends early" "$folder/cut.jsonl.gz" gzip
{ gzip -c "$folder/train.jsonl" | head -c 1000; head -c 5000 /dev/zero; } >"$folder/damaged.jsonl.gz"
bad "a damaged gzip stream" "$folder/damaged.jsonl.gz" gzip
{ printf '['; sed '$!s/$/,/' "$folder/train.jsonl"; } >"$folder/cut.json"
bad "an array that ends early" "$folder/cut.json" "inside the array"
printf "PAR1\x15\x04\x15\x10PAR1" >"$folder/train.parquet"
bad "Parquet" "$folder/train.parquet" "python3 -c"
echo '<!DOCTYPE html><html>404 Not Found</html>' >"$folder/page.jsonl"
bad "a server's page" "$folder/page.jsonl" "HTML"
iconv -f UTF-8 -t UTF-16 <<<"$long" >"$folder/wide.txt"
bad "UTF-16" "$folder/wide.txt" "iconv"
jq -c '{text: [{role: "user", content: .text}]}' "$folder/train.jsonl" >"$folder/chat.jsonl"
bad "conversations" "$folder/chat.jsonl" "list of messages"
mkdir "$folder/none"
bad "a folder without texts" "$folder/none" "no texts in this folder"
echo nothing >"$folder/tokens.h5"
bad "tokens that are no HDF5" "$folder/tokens.h5" HDF5

# The same documents in other files.
masks() { contents "$folder"/run/masks/wanda-0.5/*.h5; }
# alike NAME PATH WARNING [plan]: runs, masks as from train.jsonl, one line that warns and has the words; none for "".
# The same line from plan.
alike() {
  local path=$2 warning=$3
  small_job "$folder/job.yaml" method=wanda pattern= energy='[]' output= perplexity= corpus="$path"
  rm -rf "$folder/run"
  exits 0 alone plan "$folder/job.yaml" && grep '^careful' "$folder/stdout" >"$folder/warned"
  runs alone run --progress none "$folder/job.yaml" || return 1
  [ -n "$wanted_masks" ] && same "$(masks)" "$wanted_masks" || return 1
  same "$(cat "$folder/stderr")" "$(sed 's/^/coppice: /' "$folder/warned")" || return 1
  if [ -z "$warning" ]; then same "$(cat "$folder/warned")" ""; else grep -q "^careful: $path[^ ]*: .*$warning" "$folder/warned"; fi
}
small_job "$folder/job.yaml" method=wanda pattern= energy='[]' output= perplexity=
rm -rf "$folder/run"
check "masks of lines of JSON" runs alone run --progress none "$folder/job.yaml"
wanted_masks=$(masks)
cp "$folder/train.jsonl" "$folder/same.NDJSON"
check "are those of .ndjson" alike ndjson "$folder/same.NDJSON" ""
gzip -c "$folder/train.jsonl" >"$folder/same.txt"
check "those of a compressed file that does not say what it is, which is told" alike txt "$folder/same.txt" "is compressed with gzip.*; holds JSON objects"
jq -s . "$folder/train.jsonl" | sed '1s/^/\xef\xbb\xbf/; s/$/\r/' >"$folder/same.json"
check "those of an array, with a byte order mark" alike json "$folder/same.json" "byte order mark"
mkdir "$folder/shards"
head -n 5 "$folder/train.jsonl" | jq -c '{content: .text}' >"$folder/shards/0.jsonl"
tail -n +6 "$folder/train.jsonl" | jq -s 'map({content: .text})' | gzip >"$folder/shards/1.json.gz"
check "and those of a folder of shards, with another field" alike shards "$folder/shards/, field: content" ""
rm -rf "$folder/run"

# A tokenizer that knows a word for which the model has no row.
cp -r jobs/demo/kjv-llama-1m "$folder/model"
jq '.added_tokens += [{id: 1024, content: "the", single_word: false, lstrip: false, rstrip: false,
  normalized: false, special: false}]' jobs/demo/kjv-llama-1m/tokenizer.json >"$folder/model/tokenizer.json"
bad "a token id beyond the vocabulary" "$folder/train.jsonl" "1024|vocabulary" model="$folder/model" perplexity=

# The evaluation's text.
small_job "$folder/job.yaml" method=magnitude pattern= perplexity="$folder/utf8.txt"
check "broken UTF-8 in the evaluation's text" refused_late 3 "$folder/utf8.txt" UTF-8
small_job "$folder/job.yaml" method=magnitude pattern= perplexity="$folder/short.jsonl"
check "an evaluation text shorter than one window" refused_late 3 "$folder/short.jsonl" 64

mended() {
  small_job "$folder/job.yaml" method=magnitude pattern= output= corpus="$folder/mend.jsonl" perplexity="$folder/mend.txt"
  : >"$folder/mend.jsonl"
  : >"$folder/mend.txt"
  exits 3 alone run "$folder/job.yaml" || return 1
  cp "$folder/train.jsonl" "$folder/mend.jsonl"
  exits 3 alone run "$folder/job.yaml" && grep -q mend.txt "$folder/stderr" || { cat "$folder/stderr"; return 1; }
  cp "$folder/test.jsonl" "$folder/mend.txt"
  runs alone run "$folder/job.yaml"
}
rm -rf "$folder/run"
check "the same job runs once the texts are mended" mended
