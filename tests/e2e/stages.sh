#!/usr/bin/env bash
# stages.sh - the stages as commands of their own give the bytes of `run`; a job that contradicts the run directory
# is refused and changes nothing; a sweep may grow.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq

# commands RANKS COMMAND...
commands() {
  local n=$1 command
  shift
  for command in "$@"; do
    runs ranks "$n" "$command" "$folder/job.yaml" || { echo "$command"; return 1; }
  done
}

# ---- dense propagation: one command after the other ------------------------------------------------------

small_job "$folder/job.yaml" method='[wanda, ria]' sparsity= propagation=dense
check "run, dense propagation" runs alone run "$folder/job.yaml"
wanted=$(fingerprint)
rm -r "$folder/run" "$folder/models"
check "calibrate, score, compensate, evaluate, export" commands 2 calibrate score compensate evaluate export
check "give the bytes of run" same "$wanted" "$(fingerprint)"
check "and nothing is done twice" no_unit_twice
# A model that is elsewhere is named, and is no damage.
moved_away() {
  mv "$folder/models" "$folder/elsewhere"
  runs alone verify "$folder/run" && grep -q "^$folder/models.* is not there: moved or removed" "$folder/stdout" &&
    same 2 "$(alone verify --json "$folder/run" | jq '.absent | length')" && mv "$folder/elsewhere" "$folder/models" &&
    runs alone verify "$folder/run" && not grep -q "is not there" "$folder/stdout"
}
check "a model that was moved away is named, and is no damage" moved_away
check "statistics are shared by the variants" same "$(ls "$folder/run/statistics")" dense

# ---- pruned propagation: the stages take turns -----------------------------------------------------------

rm -r "$folder/run" "$folder/models"
small_job "$folder/job.yaml" method=cvr pattern=
check "run, pruned propagation" runs alone run "$folder/job.yaml"
wanted=$(fingerprint)
rm -r "$folder/run" "$folder/models"
nothing_to_score() {
  exits 1 "$@" score "$folder/job.yaml" && one_line "score waits for " "layer-000.h5, which is not there yet"
}
check "score before calibrate says what it waits for" nothing_to_score alone
check "and so it does on two ranks" nothing_to_score two_quiet_ranks
turns() {
  local layer
  for layer in 0 1 2 3; do
    commands $((1 + layer % 2)) calibrate score compensate || return 1
    [ -e "$folder/run/weights/cvr-alpha0.25-0.5-columns-rows/layer-00$layer.h5" ] || { echo "no layer $layer"; return 1; }
  done
}
check "calibrate, score, compensate, in turns" turns
check "export, evaluate" commands 2 export evaluate
# export came first and could not know the perplexities: they are no part of what must be equal here.
without_perplexity() { fingerprint | grep -v -e coppice.json -e README.md; }
check "give the bytes of run, pruned propagation" same "$(echo "$wanted" | grep -v -e coppice.json -e README.md)" "$(without_perplexity)"
check "and nothing is done twice" no_unit_twice

# ---- contradictions --------------------------------------------------------------------------------------

before=$(fingerprint)
contradicts() {
  local word=$1
  shift
  small_job "$folder/other.yaml" method=cvr pattern= "$@"
  exits 2 two_quiet_ranks run "$folder/other.yaml" && one_line run.json "$word" && same "$before" "$(fingerprint)"
}
check "another seed is refused" contradicts "calibration.seed: 3 before, 4 now" seed=4
check "another length is refused" contradicts calibration.length length=47
check "the other propagation is refused" contradicts prune.propagation propagation=dense
check "other linears that stay dense are refused" contradicts prune.skip skip='[mlp.up_proj]'
cp -r jobs/demo/kjv-llama-1m "$folder/model"
printf '\1' | dd of="$folder/model/model.safetensors" bs=1 seek=100000 conv=notrunc status=none
check "another weight is refused" contradicts model.safetensors model="$folder/model"
tail -n 8 jobs/demo/train.jsonl >"$folder/other.jsonl"
check "another corpus is refused" contradicts corpus corpus="$folder/other.jsonl"
check "another evaluation text is refused" contradicts evaluate.perplexity perplexity="$folder/other.jsonl"
check "another evaluation length is refused" contradicts evaluate.length evaluate_length=32
check "another compensation's clamp is another variant, not a contradiction" eval '
  small_job "$folder/other.yaml" method=cvr pattern= clamp="[0.5, 2]" output= && runs alone plan "$folder/other.yaml"'

# A corpus that is gone is no obstacle, which is said: its sequences are stored. A name that never was is one.
small_job "$folder/other.yaml" method=cvr pattern= corpus="$folder/trian.jsonl"
rm "$folder/train.jsonl"
words="calibration.corpus: $folder/trian.jsonl: No such file or directory; the run's sequences were drawn from $folder/train.jsonl"
check "a corpus that never was is refused by plan" eval 'exits 2 alone plan "$folder/other.yaml" && one_line "$words"'
check "and by run" eval 'exits 2 alone run "$folder/other.yaml" && one_line "$words"'
check "one that is gone is with --strict" eval 'exits 2 alone run --strict "$folder/job.yaml" && one_line "without --strict the stored"'
said="careful: calibration.corpus: $folder/train.jsonl is not there; the sequences that were drawn from it before are used"
check "without it plan says so" eval 'alone plan "$folder/job.yaml" | grep -q "^$said"'
sed -i 's/method: cvr/method: [cvr, magnitude]/' "$folder/job.yaml"
rm -r "$folder/models"
check "a variant is added, without the corpus" runs ranks 3 run "$folder/job.yaml"
check "which it says" grep -q "^coppice: $said" "$folder/stderr"
check "both have their perplexity" jq -e '[.results[] | .perplexity > 1] == [true, true, true]' \
  <(alone run --json "$folder/job.yaml" 2>/dev/null)
# An earlier start's results are shown with the text that they are of.
check "a job without a text says which text the results are of" eval '
  alone run --set evaluate.perplexity=null "$folder/job.yaml" 2>/dev/null | grep -q " windows of $folder/test.jsonl$"'
check "what was there is as it was" same "$(echo "$before" | grep weights)" "$(fingerprint | grep weights/cvr)"
check "nothing temporary is left" no_leftovers
