#!/usr/bin/env bash
# golden.sh - the demonstration's job gives the token ids, statistics, masks and perplexities that an independent
# implementation found (tests/golden/demo, made by tests/parity.sh --golden), and leaves what it should.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq
need h5dump
golden=tests/golden/demo/golden.json

demo_job "$folder"
runs ranks 2 run "$folder/job.yaml"
check "the demonstration's job ends well" same "$?" 0
cp "$folder/stdout" "$folder/table"

# ---- numbers --------------------------------------------------------------------------------------------

check "the calibration sequences are the drawn ones" \
  same "$(dataset "$folder/run/sequences.h5" /tokens | sha256sum | cut -d ' ' -f 1)" "$(jq -r .tokens_sha256 $golden)"

check "every variant has a perplexity" same \
  "$(cd "$folder/run/results" && ls)" "$(jq -r '.perplexity | keys[]' $golden)"
# Another processor rounds otherwise and may decide a near tie in a mask differently: 1e-3, as for transformers.
check "perplexities agree with the reference to 1e-3" perplexities_agree $golden 1e-3 17
check "windows and their length" same \
  "$(jq -r '"\(.windows) \(.length)"' "$folder/run/results/dense/perplexity.json")" \
  "$(jq -r '"\(.windows) \(.length)"' $golden)"

# The first layer's statistics: float32 activations, so about 1e-6; a mean is compared in units of its channel's size.
statistics_agree() {
  local file=$folder/run/statistics/wanda-0.5/layer-000.h5 linear name channel value size found
  while read -r linear name channel value size; do
    found=$(h5dump -y -w 0 -m %.17g -d "/$linear/$name" -s "$channel" -c 1 "$file" | awk "/^ *DATA {/ { getline; print \$1; exit }")
    awk -v a="$found" -v b="$value" -v s="$size" 'BEGIN { d = a - b; if (d < 0) d = -d; exit !(a != "" && d <= 1e-5 * s) }' ||
      { echo "$linear/$name [$channel]: $found, expected $value"; return 1; }
  done < <(jq -r '.statistics[] | "\(.linear) \(.name) \(.channel) \(.value)
    \(if .name == "mean" then .size else .value end)"' $golden | paste - -)
}
check "statistics of the first layer agree to 1e-5" statistics_agree

masks_equal() {
  local variant place digest count=0
  while read -r variant place digest; do
    same "$(dataset "$folder/run/masks/$variant/${place%%/*}.h5" "/${place#*/}/mask" | sha256sum | cut -d ' ' -f 1)" \
      "$digest" || { echo "$variant $place"; return 1; }
    count=$((count + 1))
  done < <(jq -r '.mask_sha256 | to_entries[] | .key as $v | .value | to_entries[] | "\($v) \(.key) \(.value)"' $golden)
  [ "$count" -gt 0 ]
}
check "masks that depend on the weights alone are equal" masks_equal

# Masks that depend on statistics may differ where scores are almost equal: at most one byte in a thousand.
masks_agree() {
  local file variant count=0
  for file in tests/golden/demo/*.mask; do
    variant=${file##*/mlp.down_proj.}
    mask_agrees "$file" "${variant%.mask}" mlp.down_proj 1000 || return 1
    count=$((count + 1))
  done
  [ "$count" = 6 ]
}
check "masks that depend on statistics agree" masks_agree

# ---- what is left ---------------------------------------------------------------------------------------

check "the table names the sequence length and every variant, dense first" awk '
  /^Perplexity at sequence length 256/ { length_said = 1 }
  $1 == "variant" { header = NR }
  header && NR == header + 1 { first = $1 }
  header && NR > header { rows++ }
  END { exit !(length_said && first == "dense" && rows == 17) }' "$folder/table"
check "the table's perplexities are the stored ones" same \
  "$(awk '$1 ~ /^(dense|wanda-2of4)$/ { print $1, $2 }' "$folder/table")" \
  "$(for v in dense wanda-2of4; do printf '%s %.4f\n' $v "$(jq .perplexity "$folder/run/results/$v/perplexity.json")"; done)"

model=$folder/models/wanda-2of4-columns-rows
check "the exported folder has the model's files" same \
  "$(ls "$model")" "$(printf '%s\n' README.md config.json coppice.json model.safetensors tokenizer.json tokenizer_config.json)"
check "config and tokenizer are copied" cmp jobs/demo/kjv-llama-1m/tokenizer.json "$model/tokenizer.json"
check "the model's size and header are the source's" same \
  "$(head -c 4000 "$model/model.safetensors" | sha256sum; wc -c <"$model/model.safetensors")" \
  "$(head -c 4000 jobs/demo/kjv-llama-1m/model.safetensors | sha256sum; wc -c <jobs/demo/kjv-llama-1m/model.safetensors)"
check "coppice.json has job, variant, versions, fingerprints, sparsity and perplexities" jq -e '
  .variant.name == "wanda-2of4-columns-rows" and .job.calibration.sequences == 32 and
  .versions.coppice != null and (.fingerprints.model | length) == 3 and
  (.linears | length) == 28 and ([.linears[].sparsity] | all(. == 0.5)) and
  .perplexity.dense.length == 256 and .perplexity.pruned.perplexity > .perplexity.dense.perplexity' \
  "$model/coppice.json"
check "nothing temporary is left" no_leftovers
check "no unit was done twice" no_unit_twice
check "h5dump shows plain names" same \
  "$(h5dump -n "$folder/run/weights/wanda-2of4-columns-rows/layer-003.h5" | grep -c ' /mlp.down_proj/weight')" 1
