#!/usr/bin/env bash
# bad_corpus.sh - a broken corpus is refused with exit code 3 and one line that names the file and the place, leaves
# nothing, and does not stand in the way of the same job once the corpus is mended.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# mpirun would wait two seconds for ranks that have ended by themselves, at every refusal.
export OMPI_MCA_odls_base_sigkill_timeout=0
need gzip
need jq

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
bad "a line without text" "$folder/text.jsonl" "text.jsonl:2"
printf '{"text": "%s"}\n{"text": "a\xff"}\n' "$long" >"$folder/utf8.jsonl"
bad "broken UTF-8 in a line" "$folder/utf8.jsonl" "utf8.jsonl:2|UTF-8"
sed 's/^{"text"/{"words"/' "$folder/train.jsonl" >"$folder/words.jsonl"
small_job "$folder/job.yaml" method=magnitude pattern= corpus="$folder/words.jsonl, field: words"
check "another field of the lines can be the text" runs alone calibrate "$folder/job.yaml"
rm -rf "$folder/run"
small_job "$folder/job.yaml" method=magnitude pattern= corpus="$folder/test.jsonl, field: words"
sed -i "s#test.jsonl#none.txt#" "$folder/job.yaml"; cp "$folder/train.jsonl" "$folder/none.txt"
check "a text without fields has none to name" refused 2 calibration.field "none.txt"
printf '%s\nfine\n\xc3(\n' "$long" >"$folder/utf8.txt"
bad "broken UTF-8 in a text" "$folder/utf8.txt" "UTF-8|utf8.txt:3"
gzip -c "$folder/train.jsonl" | head -c 2000 >"$folder/cut.jsonl.gz"
bad "a gzip stream that ends early" "$folder/cut.jsonl.gz" gzip
{ gzip -c "$folder/train.jsonl" | head -c 1000; head -c 5000 /dev/zero; } >"$folder/damaged.jsonl.gz"
bad "a damaged gzip stream" "$folder/damaged.jsonl.gz" gzip
cp "$folder/train.jsonl" "$folder/plain.jsonl.gz"
bad "a plain file that says gzip" "$folder/plain.jsonl.gz" gzip
echo nothing >"$folder/tokens.h5"
bad "tokens that are no HDF5" "$folder/tokens.h5" HDF5

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
