#!/bin/bash
# plan.sh - the bytes on disk that `coppice plan` announces are those that a run leaves there, counted in its files; and
# two ranks send each other about as many messages and bytes (tests/plan_traffic.sh looks at more ranks and at nodes).
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq
need h5dump
need_tool traffic.so
traffic=$tool

# counted KIND: bytes of all datasets and numeric attributes in the files of RUN/KIND.
counted() {
  find "$folder/run/$1" -name '*.h5' 2>/dev/null | sort | while read -r file; do h5dump -p -H "$file"; done |
    awk '/^ *SIZE [0-9]+/ { sum += $2 } END { printf "%d\n", sum }'
}
planned() { jq ".disk.$1" "$folder/plan.json"; }
plans() { exits 0 alone plan --json "$folder/job.yaml" && cp "$folder/stdout" "$folder/plan.json"; }
agrees() {
  local kind
  for kind in $(jq -r '.disk | del(.output) | keys[]' "$folder/plan.json"); do
    same "$kind $(planned "$kind")" "$kind $(counted "$kind")" || return 1
  done
}

# Bytes of the tensors in all models: a file has the length of its header first, then the header; and of what was copied.
model_bytes() {
  local file sum=0
  for file in $(find "$folder"/models -type f ! -name model.safetensors ! -name README.md ! -name coppice.json); do
    sum=$((sum + $(wc -c <"$file")))
  done
  for file in "$folder"/models/*/model.safetensors; do
    sum=$((sum + $(wc -c <"$file") - 8 - $(od -An -t u8 -N 8 "$file")))
  done
  echo $sum
}

# A linear that stays dense has statistics, and no mask and no weights.
small_job "$folder/job.yaml" propagation=dense keep_activations=true skip='[mlp.up_proj]' compensate=', keep_weights: true, guard: false'
check "plan with dense propagation" plans
check "run" runs alone run --progress none "$folder/job.yaml"
check "bytes are those that are planned" agrees
check "so are those of the models" same "$(planned output)" "$(model_bytes)"

small_job "$folder/job.yaml" run="$folder/run" propagation=pruned keep_activations=true energy='[columns]' output= pattern= \
  method='[wanda, sparsegpt, alps]' compensate=', keep_weights: true, guard: false'
rm -rf "$folder/run" "$folder/models"
check "plan with pruned propagation" plans
sent() { # MESSAGES|BYTES: planned for two ranks, and counted
  alone plan --json --ranks-per-node 2 --no-check "$folder/job.yaml" --set run="$folder/new" | jq "$1"
  awk -v column="$2" '{ sum += $column } END { print sum }' "$folder"/traffic.*
}
check "run" runs watched mpirun -n 2 env LD_PRELOAD="${LD_PRELOAD:+$LD_PRELOAD:}$traffic" TRAFFIC_FILE="$folder/traffic" \
  "$COPPICE" run --progress none "$folder/job.yaml"
check "messages are about as many as planned" eval 'near $(sent .messages 3) 0.25'
check "so are the bytes in them" eval 'near $(sent .bytes_sent 4) 0.25'
check "bytes are those that are planned" agrees

# An allocation calibrates the dense model first.
small_job "$folder/job.yaml" keep_activations=true energy='[]' output= perplexity= pattern= method=wanda
sed -i 's/^  method:/  allocation: dlp\n&/' "$folder/job.yaml"
rm -rf "$folder/run"
check "plan with an allocation" plans
check "run" runs alone run --progress none "$folder/job.yaml"
check "bytes are those that are planned" agrees

# Hessians of all layers are there at once, before the first mask; those of before stay with the hidden states.
small_job "$folder/job.yaml" propagation=dense keep_activations=true energy='[]' output= perplexity= pattern= method=sparsegpt
rm -rf "$folder/run"
check "plan with Hessians" plans
check "run" runs alone run --progress none "$folder/job.yaml"
check "bytes are those that are planned" agrees

# Weights that are fitted to few tokens are warned of before anything runs, and when it runs, once.
small_job "$folder/job.yaml" pattern= method=wanda energy='[]' compensate=', output: least_squares' perplexity= output=
few="careful: weights are fitted to 192 tokens, fewer than 4 for each input channel of self_attn.q_proj (128), .*mlp.down_proj (344)"
rm -rf "$folder/run"
check "plan with few tokens" runs alone plan "$folder/job.yaml"
check "they are warned of" grep -q "^$few" "$folder/stdout"
check "in JSON too" eval 'plans && jq -r ".warnings[]" "$folder/plan.json" | grep -q "^${few#careful: }"'
check "run" runs ranks 2 run --progress none "$folder/job.yaml"
check "it is said once" same "$(grep -c "^coppice: $few" "$folder/stderr")" 1

# A corpus is read whole, before anything else is in memory: 3 GB that take no room on disk.
cp "$folder/train.jsonl" "$folder/large.jsonl"
truncate -s 3G "$folder/large.jsonl"
check "plan with a large corpus" runs alone plan --no-check --json "$folder/job.yaml" --set run="$folder/new" --set calibration.corpus="$folder/large.jsonl"
check "counts it in the node's memory" eval 'jq -e ".memory | .text == 3221225472 and .node > .text and .node < .text + 3e8" "$folder/stdout"'
rm "$folder/large.jsonl"
check "a small one takes less than the work" eval 'alone plan --json "$folder/job.yaml" | jq -e ".memory.node == .memory.rank + .memory.node_shared"'

# Linears in another arithmetic.
rm -rf "$folder/run"
seconds() { alone plan --json "$@" "$folder/job.yaml" | jq .seconds; }
check "faster linears shorten the plan" \
  awk -v a="$(seconds)" -v b="$(seconds --machine compute=4)" 'BEGIN { exit !(b > 0 && b < a) }'
check "their speed is measured" eval 'alone plan --json --machine measured --set compute=bf16_emulated "$folder/job.yaml" |
  jq -e ".machine.compute | . > 0 and . != 1"'

# Threads: those that a run would take.
threads() { jq .machine.threads; }
check "the environment's threads are planned with" \
  same "$(OMP_NUM_THREADS=3 alone plan --json "$folder/job.yaml" | threads) $(OMP_NUM_THREADS=3 alone plan --json --threads 2 "$folder/job.yaml" | threads)" "3 2"
