#!/usr/bin/env bash
# quantised.sh - a checkpoint of codes and scales is pruned and exported as the weights that they stand for, or with its
# codes where the job says so.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq

golden=$COPPICE_SOURCE/tests/golden/quantised
# job RUN OUTPUT [LINE...]: magnitudes alone, and these lines more.
job() {
  printf '%s\n' "model: ${model:-$golden/fp8-outer}" "run: $folder/$1" "output: $folder/$2" \
    "calibration: {corpus: $golden/ids.h5, sequences: 4, length: 24}" "${@:3}" >"$folder/job.yaml"
}
magnitude='prune: {method: magnitude, sparsity: 0.5}'
config() { jq -r "$1" "$folder/$2/config.json"; }

job run plain "$magnitude"
check "plan" runs alone plan "$folder/job.yaml"
check "a model of FP8 blocks is pruned, whose embedding and head have some as well" runs ranks 2 run "$folder/job.yaml"
check "which is said in one line" same "$(grep -c 'export: the fp8 weights are written as BF16' "$folder/stderr")" 1
check "config.json says nothing of codes" same "$(config .quantization_config plain)" null
sed "s|^model: .*|model: $folder/plain|; s|^run: .*|run: $folder/again|; s|^output: .*|output: $folder/twice|" \
  "$folder/job.yaml" >"$folder/again.yaml"
check "the export is a model" runs alone plan "$folder/again.yaml"
check "nothing is left to do" runs alone run --progress none "$folder/job.yaml"

# Blocks of 20 in matrices of 48, 32 and 16: those at the edges are smaller, and as many.
cp -r "$golden"/fp8-outer "$folder/uneven"
jq '.quantization_config.weight_block_size = [20, 20]' "$golden"/fp8-outer/config.json >"$folder/uneven/config.json"
model=$folder/uneven
job source codes "$magnitude" "output_format: source"
check "it keeps its codes where the job says so" runs ranks 2 run "$folder/job.yaml"
check "and the key of config.json" same "$(config .quantization_config.quant_method codes)" fp8
check "in a file of the same length" same "$(stat -c %s "$folder/codes/model.safetensors")" \
  "$(stat -c %s "$golden"/fp8-outer/model.safetensors)"
# Half of 6656 codes and of 1024 weights of two bytes, but for those that are zero as they came.
only_zeros() { { cmp -l "$golden"/fp8-outer/model.safetensors "$1" || :; } | awk '$3 != 0 { other = 1 } END { exit other || NR < 4200 || NR > 4352 }'; }
check "in which zeros took the place of pruned codes, and nothing else changed" only_zeros "$folder/codes/model.safetensors"
check "blocks that do not divide are told of" grep -q "weight_block_size does not divide 'lm_head.weight' and others" "$folder/stderr"
job source codes "$magnitude" "output_format: dequantised"
check "another format contradicts the run" exits 2 alone run --progress none "$folder/job.yaml"
job refused other "$magnitude" "compensate: {energy: [rows]}" "output_format: source"
check "codes take no other weights" exits 2 alone plan "$folder/job.yaml"
check "and the key is named" one_line "output_format: source keeps codes and scales" "compensate of the variant"
