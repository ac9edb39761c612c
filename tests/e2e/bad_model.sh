#!/usr/bin/env bash
# bad_model.sh - a broken model directory is refused with exit code 3 and one line that names file and tensor.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# mpirun would wait two seconds for ranks that have ended by themselves, at every refusal.
export "$kill_at_once"
need_maker

"$maker" --layers 2 --hidden 32 --intermediate 64 --heads 2 --tied "$folder/one"
"$maker" --layers 2 --hidden 32 --intermediate 64 --heads 2 --tied --shards 2 "$folder/two"
# The layout that the tests below break in places.
check "the models are good before they are broken" eval '
  small_job "$folder/job.yaml" model="$folder/one" pattern= method=magnitude && runs alone plan "$folder/job.yaml" &&
  small_job "$folder/job.yaml" model="$folder/two" pattern= method=magnitude && runs alone plan "$folder/job.yaml"'

# broken NAME SOURCE WORDS COMMANDS: the commands break a copy of SOURCE in the current folder.
broken() {
  local name=$1 source=$2 words model=$folder/model
  IFS='|' read -r -a words <<<"$3"
  rm -rf "$model"
  cp -r "$folder/$source" "$model"
  (cd "$model" && eval "$4") || { echo "Bail out! cannot break the model: $name"; exit 1; }
  small_job "$folder/job.yaml" model="$model" pattern= method=magnitude
  check "$name" "${refused:-refused}" 3 "${words[@]}"
}
file=model.safetensors
up=model.layers.1.mlp.up_proj.weight

# in_header FROM TO: replaces text of the same length in the JSON header of a safetensors file.
in_header() {
  [ "${#1}" = "${#2}" ] && grep -aqF "$1" "$file" || { echo "cannot replace '$1'"; return 1; }
  local at
  at=$(grep -abo -m 1 -F -- "$1" "$file" | head -n 1 | cut -d : -f 1)
  printf '%s' "$2" | dd of="$file" bs=1 seek="$at" conv=notrunc status=none
}
# entry TENSOR: its entry of the header.
entry() { head -c 20000 "$file" | grep -ao "\"$1\":{[^}]*}"; }
offsets() { entry "$1" | grep -o '\[[0-9]*,[0-9]*\]}' | tr -d '[]}'; }
# data_at: where the first tensor's bytes begin: 8 and the header's size, little-endian, in the first 8.
data_at() { echo $((8 + $(od -A n -t u8 -N 8 "$file"))); }
# shifted TENSOR BYTES: the tensor's offsets moved, with as many digits.
shifted() {
  local old begin end
  old=$(entry "$1")
  IFS=, read -r begin end <<<"$(offsets "$1")"
  in_header "$old" "${old/$begin,$end/$((begin + $2)),$((end + $2))}"
}

broken "config.json is missing" one "config.json" 'rm config.json'
broken "config.json is no JSON" one "config.json" 'echo "{" >config.json'
broken "config.json lacks a size" one "config.json|intermediate_size" 'sed -i /intermediate_size/d config.json'
broken "another family" one "config.json|mamba" 'sed -i "s/\"model_type\": \"llama\"/\"model_type\": \"mamba\"/" config.json'
broken "no weights at all" one "model" 'rm $file'
broken "a header longer than the file" one "$file" 'printf "\377\377\377\377\0\0\0\0" | dd of=$file conv=notrunc status=none'
broken "a file shorter than a header" one "$file" 'truncate -s 5 $file'
broken "a truncated file" one "$file" 'truncate -s -100 $file'
broken "a header that is no JSON" one "$file" 'in_header "{\"" "[\""'
broken "offsets that overlap" one "$file|$up" 'shifted $up -64'
broken "offsets out of range" one "$file" 'old=$(entry $up); at=$(offsets $up); in_header "$old" "${old/$at/${at%,*},99999}"'
broken "a missing tensor" one "$up" 'in_header $up ${up/up_/no_}'
broken "an unknown dtype" one "$file|F17" 'old=$(entry $up); in_header "$old" "${old/BF16/BF17}"'
broken "the wrong shape for the config" one "$file|$up|64|32" 'old=$(entry $up); in_header "$old" "${old/64,32/32,64}"'
broken "the wrong number of layers" one "model.layers.2" 'sed -i "s/\"num_hidden_layers\": 2/\"num_hidden_layers\": 3/" config.json'
broken "a shard is missing" two "model-00002-of-00002.safetensors" 'rm model-00002-of-00002.safetensors'
broken "a shard outside the folder" two "model.safetensors.index.json|../model-00002" \
  'mv model-00002-of-00002.safetensors ..; sed -i "s#\"model-00002#\"../model-00002#" model.safetensors.index.json'
broken "a shard name with a path" two "model.safetensors.index.json|/etc/" \
  'sed -i "s#\"model-00002#\"/etc/model-00002#" model.safetensors.index.json'
broken "the index is no JSON" two "model.safetensors.index.json" 'echo "{{" >model.safetensors.index.json'
broken "tokenizer.json is missing" one "tokenizer.json" 'rm tokenizer.json'
broken "tokenizer.model alone" one "tokenizer.json: is not there, and tokenizer.model is|T.from_pretrained('$folder/model').save_pretrained" \
  'mv tokenizer.json tokenizer.model'
broken "tokenizer.json is no JSON" one "tokenizer.json" 'echo "[" >tokenizer.json'
broken "a file that would be copied is a link to nowhere" one "special_tokens_map.json|No such file" 'ln -s nowhere special_tokens_map.json'

# NaN and infinity lie in the bytes of the weights, which a run reads before it begins, and a plan does not. BF16.
poke() {
  local begin
  begin=$(offsets "$1")
  printf "$3" | dd of="$file" bs=1 seek=$(($(data_at) + ${begin%,*} + 2 * $2)) conv=notrunc status=none
}
nothing_begun() { nothing_half_made && not exists "$folder/run/run.json"; }
refused_at_once() { refused_leaving nothing_begun "alone two_quiet_ranks" "$@"; }
refused=refused_at_once
broken "NaN in a weight" one "$file|$up|[2, 6]|NaN" 'poke $up 70 "\300\177"'
broken "infinity in a weight" one "$file|$up|[0, 31]|infinite" 'poke $up 31 "\200\377"'
broken "NaN in a norm" one "$file|model.norm.weight|NaN" 'poke model.norm.weight 3 "\300\177"'
broken "NaN in the embedding" one "$file|model.embed_tokens.weight|NaN" 'poke model.embed_tokens.weight 3000 "\300\177"'

# A weight near the largest number of float16, and a factor of at least 1.5: what would be infinite is not committed.
"$maker" --layers 2 --hidden 32 --intermediate 64 --heads 2 --tied --dtype F16 "$folder/half"
(cd "$folder/half" && poke $up 70 '\123\173') # [2, 6] becomes 60000
overflows() {
  small_job "$folder/job.yaml" model="$folder/half" pattern= method=magnitude perplexity= "$@"
  refused_late 1 layers.1.mlp.up_proj "[2, 6]" F16 compensate.clamp && not exists "$folder/run/weights/*/layer-001.h5"
}
check "a weight that overflows float16 when a row is rescaled" overflows energy='[rows]' clamp='[1.5, 10]' compensate=', guard: false'
check "or a column" overflows energy='[columns]' clamp='[1.5, 10]' compensate=', guard: false'
check "and none without compensation" eval '
  small_job "$folder/job.yaml" model="$folder/half" pattern= method=magnitude energy="[]" && rm -rf "$folder/run" &&
  runs alone run --progress none "$folder/job.yaml"'
