#!/usr/bin/env bash
# auto.sh - the method auto: as an independent implementation does it (tests/golden/auto, made by
# tests/parity.sh --golden), the same bytes on any number of ranks, as separate commands and after a kill, experts
# one by one, and what was chosen stands in masks, report and coppice.json.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq
need h5dump
golden=tests/golden/auto/golden.json

# ---- numbers --------------------------------------------------------------------------------------------

small_job "$folder/job.yaml" method=auto sequences=9 energy='[]'
check "a job with auto ends well" runs ranks 2 run "$folder/job.yaml"

check "perplexities agree with the reference to 1e-3" perplexities_agree $golden 1e-3 3

about=$folder/models/auto-0.5/coppice.json
check "of every linear the choice is known" jq -e '.linears | length == 28 and all(.[]; .choice | .measured == "layer" and
  (.candidates | length == 15) and (.method | IN("magnitude", "wanda", "ria", "cvr")) and .activation_exponent >= 0 and .alpha >= 0)' "$about"
check "it is the candidate with the smallest error" jq -e 'all(.linears[]; .choice | .error == ([.candidates[]] | min) and .error > 0)' "$about"
check "linears with one input have one choice" jq -e '.linears as $l | all(range(4); "layers.\(.)." as $p |
  $l[$p + "self_attn.q_proj"].choice == $l[$p + "self_attn.k_proj"].choice and
  $l[$p + "mlp.gate_proj"].choice == $l[$p + "mlp.up_proj"].choice)' "$about"
check "not everywhere the same" jq -e '[.linears[].choice | {method, activation_exponent, alpha}] | unique | length > 1' "$about"
check "the report says the same" runs alone report --json "$folder/run"
check "of every linear" same "$(jq -S '[.linears[].choice]' "$about")" \
  "$(jq -S '[.linears[] | select(.variant == "auto-0.5")] | map({key: "layers.\(.layer).\(.linear)", value: .choice}) | from_entries' "$folder/stdout" |
    jq -S --slurpfile a "$about" '. as $r | [$a[0].linears | keys_unsorted[] | $r[.]]')"
check "masks prune what was asked" jq -e 'all(.linears[]; .sparsity == 0.5)' "$about"

# A choice is the named method's mask where that is what was chosen.
small_job "$folder/one.yaml" run="$folder/one" output= method='[wanda, magnitude]' sequences=9 energy='[]' pattern= perplexity=
runs alone run "$folder/one.yaml"
first_layer_masks() { h5dump -d "/$2/mask" "$1/layer-000.h5" | sed -n '/DATA/,$p' | sha256sum; }
named_masks_agree() {
  local linear count=0
  for linear in $(jq -r '.linears | to_entries[] | select((.key | startswith("layers.0.")) and .value.choice.method == "wanda"
      and .value.choice.activation_exponent == 0.5 and .value.choice.alpha == 0) | .key | ltrimstr("layers.0.")' "$about"); do
    same "$(first_layer_masks "$folder/run/masks/auto-0.5" "$linear")" "$(first_layer_masks "$folder/one/masks/wanda-0.5" "$linear")" || return 1
    count=$((count + 1))
  done
  echo "$count linears"
}
check "masks are those of the method that was chosen" named_masks_agree
rm -rf "$folder/one"

# ---- any number of ranks, separate commands, kills ----------------------------------------------------------

small_job "$folder/pruned.yaml" method=auto sparsity= sequences=9 energy='[rows]' compensate=', output: regression' skip='[mlp.up_proj]'
undisturbed 1 "$folder/pruned.yaml"
check "pruned propagation, guarded, 3 ranks" again 3 "$folder/pruned.yaml"
turns() {
  rm -rf "$folder/run" "$folder/models"
  local layer
  for layer in 0 1 2 3; do
    runs alone calibrate "$folder/pruned.yaml" && runs ranks 2 score "$folder/pruned.yaml" &&
      runs alone compensate "$folder/pruned.yaml" || return 1
  done
  runs alone evaluate "$folder/pruned.yaml" && runs alone export "$folder/pruned.yaml" && runs alone run "$folder/pruned.yaml" &&
    same "$(echo "$wanted" | grep 'masks\|weights\|perplexity')" "$(fingerprint | grep 'masks\|weights\|perplexity')"
}
check "calibrate, score, compensate as commands of their own" turns
check "killed while masks are chosen" \
  strike "$folder/pruned.yaml" 'run/masks/auto-2of4-rows-output-regression/.layer-002.h5.*' all 2 1

small_job "$folder/dense.yaml" method='[auto, wanda]' pattern= sequences=9 propagation=dense energy='[rows]' group=layer
undisturbed 1 "$folder/dense.yaml"
check "dense propagation, whole matrices, 4 ranks in 2 teams" again 4 "$folder/dense.yaml" --teams 2
separately() {
  rm -rf "$folder/run" "$folder/models"
  local command
  for command in calibrate score compensate evaluate export; do
    runs ranks 2 "$command" "$folder/dense.yaml" || { echo "$command"; return 1; }
  done
  same "$wanted" "$(fingerprint)"
}
check "calibrate, score, compensate, evaluate, export" separately
check "the hidden states of all layers are gone in the end" same "$(cd "$folder/run/activations/dense" && ls)" "$(printf '%s\n' layer-002.h5 layer-003.h5)"

# ---- experts ------------------------------------------------------------------------------------------------

need h5import
tokens() { # FILE SEQUENCES LENGTH VOCABULARY: token ids that repeat after a while
  awk -v n="$2" -v l="$3" -v v="$4" 'BEGIN { for (s = 0; s < n; s++) { for (t = 0; t < l; t++) printf "%d ", (s * 31 + t * t * 7 + t) % v; print "" } }' >"$folder/tokens.txt"
  printf 'PATH tokens\nINPUT-CLASS TEXTIN\nINPUT-SIZE 32\nRANK 2\nDIMENSION-SIZES %d %d\nOUTPUT-CLASS IN\nOUTPUT-SIZE 32\n' "$2" "$3" >"$folder/tokens.conf"
  h5import "$folder/tokens.txt" -c "$folder/tokens.conf" -o "$1"
}
tokens "$folder/tokens.h5" 9 2 96
cp -r tests/golden/families/qwen2-moe "$folder/moe"
cp jobs/demo/kjv-llama-1m/tokenizer.json "$folder/moe" # every model has one; here none is used
small_job "$folder/moe.yaml" model="$folder/moe" corpus="$folder/tokens.h5" method=auto pattern= sequences=9 length=2 energy='[]' perplexity=
undisturbed 1 "$folder/moe.yaml"
about=$folder/models/coppice.json
check "experts are measured by themselves, the rest by the layer" jq -e '.linears | to_entries | all(.value.choice.measured as $m |
  if .key | test("mlp.experts") then $m | IN("linear", "nothing") else $m == "layer" end) and
  ([.[].value.choice.measured] | unique == ["layer", "linear", "nothing"])' "$about"
check "an expert without a token takes wanda" jq -e '[.linears[].choice | select(.measured == "nothing")] | length > 0 and
  all(.method == "wanda" and .activation_exponent == 0.5 and .alpha == 0 and .candidates == {})' "$about"
check "experts take what is best for them" jq -e '[.linears[].choice | select(.measured == "linear")] | all(.error == ([.candidates[]] | min))' "$about"
check "experts, 3 ranks" again 3 "$folder/moe.yaml"
