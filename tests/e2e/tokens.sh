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

# HDF5 locks what it opens when it is told to, and only then.
locked() { flock "$folder/tokens.h5" "$@"; }
check "a file that somebody has locked can be read" runs locked "$COPPICE" plan "$folder/job.yaml"
check "unless locks are wanted" exits 1 locked env HDF5_USE_FILE_LOCKING=TRUE "$COPPICE" plan "$folder/job.yaml"
check "and the line says what to set" one_line "/tokens.h5: HDF5 cannot lock it: another program has locked it;" \
  "set HDF5_USE_FILE_LOCKING=FALSE"
if can_interpose; then
  check "a file system without locks is named" exits 1 env LD_PRELOAD="$interpose" FAULT_LOCKS=37 HDF5_USE_FILE_LOCKING=TRUE \
    "$COPPICE" plan "$folder/job.yaml"
  check "by its own words" one_line "/tokens.h5: HDF5 cannot lock it: No locks available;" "set HDF5_USE_FILE_LOCKING=FALSE"
fi
check "locks are taken where they work" runs env HDF5_USE_FILE_LOCKING=TRUE "$COPPICE" plan "$folder/job.yaml"

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
