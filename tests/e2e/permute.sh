#!/usr/bin/env bash
# permute.sh - prune.permute: the exported model has its pattern in neighbours, and the perplexity of the run, which
# stays in the model's own order; the same bytes on any number of ranks; the mask file has the order.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq
need h5dump

small_job "$folder/job.yaml" method='[wanda, sparsegpt]' sparsity= pattern=$'2:4\n  permute: [false, true]' energy='[]'
undisturbed 2 "$folder/job.yaml"
perplexity_of() { jq .perplexity "$1/perplexity.json"; }

# of_four MODEL: linears whose rows have more than 2 of 4 neighbours that are not zero, one a line.
header() { head -c "$((8 + $(od -A n -t u8 -N 8 "$1")))" "$1" | tail -c +9; }
of_four() {
  local file=$1/model.safetensors data name begin end
  data=$((8 + $(od -A n -t u8 -N 8 "$file")))
  header "$file" | jq -r 'to_entries[] | select(.key | endswith("_proj.weight")) | "\(.key) \(.value.data_offsets[0]) \(.value.data_offsets[1])"' |
    while read -r name begin end; do
      tail -c "+$((data + begin + 1))" "$file" | head -c "$((end - begin))" | od -A n -v -w8 -t x2 |
        awk -v name="$name" '{ kept = 0; for (i = 1; i <= 4; i++) kept += $i != "0000" && $i != "8000"; more += kept > 2; two += kept == 2; n++ }
          END { if (n == 0 || more > 0 || two < 0.99 * n) print name, more, two, n }'
    done
}
# again MODEL: its dense perplexity, nothing pruned.
again() {
  rm -rf "$folder/again"
  small_job "$folder/again.yaml" model="$1" run="$folder/again" output= method=magnitude sparsity=0 pattern= energy='[]'
  runs ranks 2 run "$folder/again.yaml" && perplexity_of "$folder/again/results/dense"
}
for method in wanda sparsegpt; do
  model=$folder/models/$method-2of4-permuted
  check "$method: 2 of 4 neighbours of every linear are there" same "$(of_four "$model")" ""
  check "$method: the exported model has the run's perplexity" \
    near "$(again "$model")" "$(perplexity_of "$folder/run/results/$method-2of4-permuted")" 1e-5
  check "$method: that differs from the perplexity without an order" \
    not near "$(perplexity_of "$folder/run/results/$method-2of4")" "$(perplexity_of "$folder/run/results/$method-2of4-permuted")" 1e-4
  check "$method: coppice.json names eight orders, and what they gain" \
    jq -e '.variant.permute and (.permutation | length == 8 and all(.gain > 0.001 and .gain < 0.1) and
      .[7].columns == "layers.3.mlp.down_proj" and .[6].rows == ["layers.3.self_attn.v_proj"])' "$model/coppice.json"
  check "$method: without an order it says nothing of it" \
    jq -e '(has("permutation") or (.variant | has("permute"))) | not' "$folder/models/$method-2of4/coppice.json"
done
positions() { dataset "$folder/run/masks/wanda-2of4-permuted/layer-001.h5" "/$1/order" | od -A n -v -w4 -t u4 | tr -d ' '; }
check "the order is of all columns" same "$(positions mlp.down_proj | sort -n)" "$(seq 0 343)"
check "and not that of the model" not same "$(positions mlp.down_proj)" "$(seq 0 343)"
check "coppice verify finds nothing" runs alone verify "$folder/run"

check "the same bytes from three ranks" eval 'rm -rf "$folder/run" "$folder/models"; goes_on 3 "$folder/job.yaml"'

small_job "$folder/job.yaml" sparsity=0.5 pattern=$'\n  permute: true'
sed -i '/pattern: *$/d' "$folder/job.yaml"
check "without a pattern it is refused" eval 'rm -rf "$folder/run" "$folder/models" "$folder/again"; refused 2 prune.permute prune.pattern'
small_job "$folder/job.yaml" sparsity= pattern=$'2:4\n  permute: true' skip='[mlp.down_proj, self_attn.o_proj]'
check "with nothing to order it is refused" refused 2 prune.permute "no linear that is pruned"
