#!/usr/bin/env bash
# odd_model.sh - what a model folder asks for and coppice does not compute is refused with exit code 3 and one line
# that names the key; tensors that it does not know travel into the exported model as they are.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq
need_maker

"$maker" --layers 2 --hidden 32 --intermediate 64 --heads 2 "$folder/llama"
ln -s "$COPPICE_SOURCE"/tests/golden/families/* "$folder"

# odd NAME SOURCE FILTER WORDS: `plan` on SOURCE whose config.json went through jq says all the words.
# Words that begin with "fine" mean that it is accepted.
odd() {
  local name=$1 words model=$folder/model
  IFS='|' read -r -a words <<<"$4"
  rm -rf "$model"
  cp -rL "$folder/$2" "$model"
  # jq writes 4.0 as 4, which is not the same in keys that are float.
  jq "$3" "$folder/$2/config.json" | sed -E 's/("[a-z_]*(softcapping|noise)": [0-9]+)(,?)$/\1.0\3/' >"$model/config.json" ||
    { echo "Bail out! jq '$3'"; exit 1; }
  small_job "$folder/job.yaml" model="$model" pattern= method=magnitude
  if [ "$4" = fine ]; then
    check "$name" runs alone plan "$folder/job.yaml"
  else
    check "$name" refuses_plan "${words[@]}"
  fi
}
refuses_plan() { exits 3 alone plan "$folder/job.yaml" && one_line "$@"; }

odd "an unknown family" llama '.model_type = "no_such_family"' "config.json: model_type: 'no_such_family' is not supported|supported: |llama, "
odd "no family at all" llama 'del(.model_type)' "config.json: model_type: is missing"
odd "a family that runs on code of its own" llama '.model_type = "chatglm" | .auto_map = {AutoModel: "modeling_chatglm.ChatGLM"}' \
  "config.json: model_type: 'chatglm' runs on code of its own (auto_map)"
odd "a known family needs none of that code" llama '.auto_map = {AutoModel: "modeling_llama.Llama"}' fine
odd "an unknown activation" llama '.hidden_act = "prelu"' "config.json: hidden_act: 'prelu' is not supported|silu|quick_gelu"
odd "by the name that the family gives it" opt '.activation_function = "xielu"' "config.json: activation_function: 'xielu'"
odd "a GPTQ checkpoint" llama '.quantization_config = {quant_method: "gptq", bits: 4}' \
  "config.json: quantization_config: quantised (gptq) checkpoints are not supported"
odd "a quantised one that does not say how" llama '.quantization_config = {}' "config.json: quantization_config: quantised"
odd "one by compressed-tensors' older key" llama '.compression_config = {format: "pack-quantized"}' \
  "config.json: compression_config: quantised"
odd "a dense one by that key" llama '.compression_config = {sparsity_config: {format: "dense"}}' fine
odd "a dense one by compressed-tensors' key" llama \
  '.quantization_config = {quant_method: "compressed-tensors", format: "dense", config_groups: {}, kv_cache_scheme: null}' fine
odd "but not with quantised caches" llama \
  '.quantization_config = {quant_method: "compressed-tensors", format: "dense", kv_cache_scheme: {num_bits: 8}}' \
  "config.json: quantization_config: quantised (compressed-tensors)"
odd "nor packed zeros" llama '.compression_config = {sparsity_config: {format: "sparse-24-bitmask"}}' \
  "config.json: compression_config: quantised"
odd "nor another method's" llama '.compression_config = {quant_method: "gptq"}' "config.json: compression_config: quantised (gptq)"
odd "an unknown rope_type" llama '.rope_scaling = {rope_type: "ntk", factor: 2}' \
  "config.json: rope_scaling.rope_type: 'ntk' is not supported|llama3"
odd "by its older key" llama '.rope_scaling = {type: "mrope", mrope_section: [2, 3, 3]}' \
  "config.json: rope_scaling.rope_type: 'mrope' is not supported"
odd "by its newer place" llama '.rope_parameters = {rope_type: "mrope"}' \
  "config.json: rope_parameters.rope_type: 'mrope' is not supported"
odd "yarn is known" llama '.rope_scaling = {rope_type: "yarn", factor: 2, original_max_position_embeddings: 2048}' fine
odd "but not what Phi-3 has" phi3 '.rope_parameters.rope_type = "dynamic"' "config.json: rope_parameters.rope_type: phi3 has only \"longrope\""
odd "no lm_head, though none is tied" qwen2 '.tie_word_embeddings = false' "'lm_head.weight' is missing"
odd "a key that coppice does not know" llama '.logit_shift = 0.5' \
  "config.json: logit_shift: is not known to coppice and may change what the model computes|--ignore-config-key logit_shift"
check "unless it is ignored" runs alone plan --ignore-config-key logit_shift "$folder/job.yaml"
cp -rL "$folder/gemma3-vl" "$folder/inside"
jq -n '{version: "1.0", added_tokens: [], normalizer: null, pre_tokenizer: null, post_processor: null,
  model: {type: "BPE", unk_token: "<unk>", vocab: ([range(95)] | map({key: ([. + 32] | implode), value: .}) | from_entries + {"<unk>": 95}), merges: []}}' \
  >"$folder/inside/tokenizer.json"
odd "a text model inside a larger one" inside . fine
odd "which is not there" gemma3 '.model_type = "gemma3"' "config.json: text_config: is missing"
odd "one that is not known there" llava '.text_config.model_type = "gemma2"' \
  "config.json: text_config: model_type: 'gemma2' is not supported as the language model inside 'llava'"
odd "a key that coppice does not know inside it" llava '.text_config.logit_shift = 2' "config.json: text_config.logit_shift: is not known"
odd "codes that it says it has, as if the root did" llava '.text_config.quantization_config = {quant_method: "awq"}' \
  "config.json: text_config: quantization_config: quantised (awq)"
odd "or beside it" llava '.text_shift = 2' "config.json: text_shift: is not known"
odd "a larger model that is quantised" llava '.quantization_config = {quant_method: "awq"}' "config.json: quantization_config: quantised (awq)"
cp -rL "$folder/mixtral" "$folder/stacked"
# A JSON name may have spaces after it, so that the header keeps its length.
LC_ALL=C sed -i 's/"model.layers.0.block_sparse_moe.experts.0.w1.weight"/"model.layers.0.mlp.experts.gate_up_proj"            /' \
  "$folder"/stacked/*.safetensors
odd "experts as they are in memory" stacked . "the experts of model.layers.0 are in one tensor, as transformers writes them with save_original_format=False"

# ---- a head that config.json denies -----------------------------------------------------------------------

"$maker" --layers 1 --hidden 32 --intermediate 64 --heads 2 "$folder/own-head"
jq '.tie_word_embeddings = true' "$folder/own-head/config.json" >"$folder/tied.json" && mv "$folder/tied.json" "$folder/own-head/config.json"
mkdir -p "$folder/own-head/additional_chat_templates" "$folder/own-head/onnx"
echo '{{ tools }}' >"$folder/own-head/additional_chat_templates/tool_use.jinja"
small_job "$folder/job.yaml" model="$folder/own-head" method=wanda pattern= perplexity=
check "a tied model with a head of its own is pruned" runs ranks 2 run --progress none "$folder/job.yaml"
check "one line says that the head is used" \
  same "$(grep -c "careful: .*tie_word_embeddings is true, but 'lm_head.weight' differs" "$folder/stderr")" 1
head_bytes=$((512 * 32 * 2)) # of lm_head.weight, the last tensor
check "and export keeps it" cmp <(tail -c $head_bytes "$folder/models/model.safetensors") \
  <(tail -c $head_bytes "$folder/own-head/model.safetensors")
check "and the chat templates that have names" cmp "$folder"/{own-head,models}/additional_chat_templates/tool_use.jinja
check "a folder that is left out is named" grep -q "^coppice: careful: .* not copied into the export: onnx/$" "$folder/stderr"
check "a copied template is verified" eval 'runs alone verify "$folder/run" && echo x >>"$folder/models/additional_chat_templates/tool_use.jinja" &&
  exits 1 alone verify "$folder/run" && grep -q "/tool_use.jinja is damaged or gone; remove $folder/models and" "$folder/stderr"'
rm -rf "$folder/run" "$folder/models"

# ---- a language model inside another model ---------------------------------------------------------------

# tensor_bytes FILE NAME: the bytes of one tensor of a safetensors file.
tensor_bytes() {
  local size begin end
  size=$(od -A n -t u8 -N 8 "$1" | tr -d ' ')
  read -r begin end <<<"$(tail -c +9 "$1" | head -c "$size" | jq -r --arg name "$2" '.[$name].data_offsets | join(" ")')"
  tail -c +$((9 + size + begin)) "$1" | head -c $((end - begin))
}
# others_are_the_same FOLDER FOLDER PATTERN: only the bytes of tensors whose names fit the pattern differ.
others_are_the_same() {
  local file size name changed=0
  for file in "$1"/*.safetensors; do
    file=${file##*/}
    size=$(od -A n -t u8 -N 8 "$1/$file" | tr -d ' ')
    cmp <(head -c $((8 + size)) "$1/$file") <(head -c $((8 + size)) "$2/$file") || return 1
    for name in $(tail -c +9 "$1/$file" | head -c "$size" | jq -r 'keys[] | select(. != "__metadata__")'); do
      cmp -s <(tensor_bytes "$1/$file" "$name") <(tensor_bytes "$2/$file" "$name") && continue
      [[ $name =~ $3 ]] || { echo "# $name differs"; return 1; }
      changed=$((changed + 1))
    done
  done
  [ $changed = "$4" ]
}
small_job "$folder/job.yaml" model="$folder/inside" method=wanda pattern= perplexity=
check "it is pruned" runs ranks 2 run --progress none "$folder/job.yaml"
check "one line says what is carried over" \
  same "$(grep -c "careful: .* tensors outside of the language model are carried over as they are" "$folder/stderr")" 1
check "its linears alone differ" others_are_the_same "$folder/inside" "$folder/models" \
  '^language_model.model.layers.[01].(self_attn|mlp).*_proj.weight$' 14
check "config.json is the same" cmp "$folder/inside/config.json" "$folder/models/config.json"
rm -rf "$folder/run" "$folder/models"

# ---- tensors that nobody asked for ----------------------------------------------------------------------

# with_tensors FILE JSON BYTES: appends tensors to a safetensors file; JSON has their entries, offsets from 0.
with_tensors() {
  local size header data length
  size=$(od -A n -t u8 -N 8 "$1" | tr -d ' ')
  header=$(tail -c +9 "$1" | head -c "$size")
  data=$(($(stat -c %s "$1") - 8 - size))
  header=$(jq -c --argjson more "$2" --argjson at "$data" \
    '. + ($more | map_values(.data_offsets |= map(. + $at)))' <<<"$header")
  while [ $((${#header} % 8)) != 0 ]; do header+=' '; done
  length=$(printf '%016x' ${#header})
  {
    for i in 14 12 10 8 6 4 2 0; do printf "\\x${length:$i:2}"; done
    printf '%s' "$header"
    tail -c "$data" "$1"
    cat "$3"
  } >"$folder/grown" && mv "$folder/grown" "$1"
}
head -c 1000 /dev/urandom >"$folder/bytes"
"$maker" --layers 2 --hidden 32 --intermediate 64 --heads 2 --shards 2 "$folder/odd"
# A buffer of an old transformers, a vision tower in a dtype that is not computed with, an empty tensor, a scalar.
with_tensors "$folder/odd/model-00001-of-00002.safetensors" '{
  "model.layers.0.self_attn.rotary_emb.inv_freq": {"dtype": "F32", "shape": [8], "data_offsets": [0, 32]},
  "vision_tower.patch_embedding.weight": {"dtype": "F8_E4M3", "shape": [23, 40], "data_offsets": [32, 952]},
  "model.layers.7.self_attn.q_proj.weight": {"dtype": "BF16", "shape": [4, 5], "data_offsets": [952, 992]},
  "nothing": {"dtype": "I64", "shape": [0, 3], "data_offsets": [992, 992]},
  "step": {"dtype": "I64", "shape": [], "data_offsets": [992, 1000]}}' "$folder/bytes"
small_job "$folder/job.yaml" model="$folder/odd" method=wanda pattern= perplexity=
check "a model with tensors that coppice does not know is pruned" runs ranks 2 run --progress none "$folder/job.yaml"
first=models/model-00001-of-00002.safetensors
carried_over() {
  local size
  size=$(od -A n -t u8 -N 8 "$folder/odd/${first#*/}" | tr -d ' ')
  cmp <(head -c $((8 + size)) "$folder/$first") <(head -c $((8 + size)) "$folder/odd/${first#*/}") &&
    cmp <(tail -c 1000 "$folder/$first") "$folder/bytes"
}
check "their bytes are carried over, and the header is the same" carried_over
check "so is the index" cmp "$folder/models/model.safetensors.index.json" "$folder/odd/model.safetensors.index.json"
check "the linears next to them are pruned" not cmp -s "$folder/$first" "$folder/odd/${first#*/}"
check "the export can be used as a model" eval 'small_job "$folder/again.yaml" model="$folder/models" run="$folder/again" output= method=wanda pattern= perplexity= && runs alone plan "$folder/again.yaml"'

# ---- shards of other names ------------------------------------------------------------------------------

"$maker" --layers 2 --hidden 32 --intermediate 64 --heads 2 --shards 2 "$folder/named"
mv "$folder/named/model-00001-of-00002.safetensors" "$folder/named/weights.st"
mv "$folder/named/model-00002-of-00002.safetensors" "$folder/named/weights"
sed -i 's/model-00001-of-00002.safetensors/weights.st/; s/model-00002-of-00002.safetensors/weights/' \
  "$folder/named/model.safetensors.index.json"
small_job "$folder/job.yaml" model="$folder/named" method=magnitude pattern= perplexity=
rm -rf "$folder/run" "$folder/models"
check "a model whose shards have other endings is pruned" runs ranks 2 run --progress none "$folder/job.yaml"
differ() { [ "$(cmp -l "$1" "$2" | wc -l)" -gt 10000 ]; }
check "and so is what is exported" eval 'differ "$folder/models/weights.st" "$folder/named/weights.st" &&
  [ "$(stat -c %s "$folder/models/weights")" = "$(stat -c %s "$folder/named/weights")" ]'
