#!/bin/bash
# shapes.sh - a checkpoint with the shapes of a known model and no weights: sparse files that take a few kilobytes of
# disk, enough for `coppice plan`.
#
#   slurm/shapes.sh llama-2-7b|llama-3-70b|llama-3.1-405b FOLDER
set -euo pipefail

case ${1:-} in
llama-2-7b) layers=32 hidden=4096 intermediate=11008 heads=32 kv=32 vocabulary=32000 theta=10000.0 ;;
llama-3-70b) layers=80 hidden=8192 intermediate=28672 heads=64 kv=8 vocabulary=128256 theta=500000.0 ;;
llama-3.1-405b) layers=126 hidden=16384 intermediate=53248 heads=128 kv=8 vocabulary=128256 theta=500000.0 ;;
*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
esac
folder=${2:?where to}
mkdir -p "$folder"
head_dim=$((hidden / heads))

cat >"$folder/config.json" <<JSON
{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": $hidden,
 "intermediate_size": $intermediate, "num_hidden_layers": $layers, "num_attention_heads": $heads,
 "num_key_value_heads": $kv, "head_dim": $head_dim, "vocab_size": $vocabulary, "max_position_embeddings": 4096,
 "rms_norm_eps": 1e-05, "rope_theta": $theta, "hidden_act": "silu", "tie_word_embeddings": false,
 "attention_bias": false, "mlp_bias": false, "torch_dtype": "bfloat16"}
JSON

# write_shard FILE NAME ROWS COLUMNS ...: a safetensors file of bfloat16 tensors (COLUMNS 0: a vector), all holes.
write_shard() {
  local file=$1 header='{' offset=0 count shape size byte length=''
  shift
  while [ $# -gt 0 ]; do
    count=$(($2 * ($3 > 0 ? $3 : 1) * 2))
    if [ "$3" -gt 0 ]; then shape="$2,$3"; else shape=$2; fi
    header+="\"$1\":{\"dtype\":\"BF16\",\"shape\":[$shape],\"data_offsets\":[$offset,$((offset + count))]},"
    index+="\"$1\":\"$file\","
    offset=$((offset + count))
    shift 3
  done
  header=${header%,}\}
  size=${#header}
  for byte in 0 1 2 3 4 5 6 7; do length+=$(printf '\\x%02x' $(((size >> (8 * byte)) & 255))); done
  { printf '%b' "$length"; printf '%s' "$header"; } >"$folder/$file"
  truncate -s $((8 + size + offset)) "$folder/$file"
}

index=''
shards=$((layers + 1))
for ((l = 0; l < layers; l++)); do
  name=model.layers.$l
  write_shard "$(printf 'model-%05d-of-%05d.safetensors' $((l + 1)) $shards)" \
    "$name.self_attn.q_proj.weight" $((heads * head_dim)) $hidden \
    "$name.self_attn.k_proj.weight" $((kv * head_dim)) $hidden \
    "$name.self_attn.v_proj.weight" $((kv * head_dim)) $hidden \
    "$name.self_attn.o_proj.weight" $hidden $((heads * head_dim)) \
    "$name.mlp.gate_proj.weight" $intermediate $hidden \
    "$name.mlp.up_proj.weight" $intermediate $hidden \
    "$name.mlp.down_proj.weight" $hidden $intermediate \
    "$name.input_layernorm.weight" $hidden 0 \
    "$name.post_attention_layernorm.weight" $hidden 0
done
write_shard "$(printf 'model-%05d-of-%05d.safetensors' $shards $shards)" \
  model.embed_tokens.weight $vocabulary $hidden model.norm.weight $hidden 0 lm_head.weight $vocabulary $hidden
printf '{"metadata":{},"weight_map":{%s}}\n' "${index%,}" >"$folder/model.safetensors.index.json"
