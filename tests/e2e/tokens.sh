#!/usr/bin/env bash
# tokens.sh - calibration from token ids (tokens.h5) needs no tokenizer, as long as nothing else is tokenised.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq
need h5dump

job() { small_job "$folder/job.yaml" method=wanda pattern= energy='[]' length=32 sequences=3 "$@"; }

# The ids that a run drew are as good as any.
job perplexity=
check "a run from text" runs alone run "$folder/job.yaml"
cp "$folder/run/sequences.h5" "$folder/tokens.h5"
mv "$folder/run" "$folder/from-text"
rm -rf "$folder/models"

cp -r jobs/demo/kjv-llama-1m "$folder/model"
mv "$folder/model/tokenizer.json" "$folder/tokenizer.json"
job perplexity= model="$folder/model" corpus="$folder/tokens.h5"
check "without tokenizer.json" runs ranks 2 run "$folder/job.yaml"
check "the same weights come out" same "$(contents "$folder/run/weights/wanda-0.5/layer-003.h5")" \
  "$(contents "$folder/from-text/weights/wanda-0.5/layer-003.h5")"
check "the exported folder is as complete as the model was" \
  same "$( (ls "$folder/model"; echo coppice.json; echo README.md) | sort)" "$(ls "$folder/models" | sort)"
check "plan needs none either" runs alone plan "$folder/job.yaml"

job model="$folder/model" corpus="$folder/tokens.h5"
check "a text to evaluate needs it" exits 3 alone run --progress none "$folder/job.yaml"
check "and says so" one_line "model/tokenizer.json"
cp "$folder/tokenizer.json" "$folder/model"
check "the evaluation may come later, with a tokenizer" runs alone run --progress none "$folder/job.yaml"
check "it is made once" jq -e '.windows > 0' "$folder/run/results/wanda-0.5/perplexity.json"

jq '.added_tokens += [{id: 1000, content: "the", single_word: false, lstrip: false, rstrip: false,
  normalized: false, special: false}]' "$folder/tokenizer.json" >"$folder/model/tokenizer.json"
check "another tokenizer contradicts it" exits 2 alone run --progress none "$folder/job.yaml"
check "and is named" one_line "tokenizer.json"
