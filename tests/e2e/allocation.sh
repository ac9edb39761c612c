#!/usr/bin/env bash
# allocation.sh - where the sparsity goes: OWL's outliers counted as an independent count over the run's own files
# says (tests/golden/outliers.py made them from the same job), medians, measured curves, targets whose mean is the sparsity, explicit ratios,
# the same bytes on any number of ranks, stop and resume, and what is refused.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq

# allocation_job KEY=VALUE... -- LINE...: a small job with more lines in `prune`.
allocation_job() {
  local arguments=()
  while [ $# -gt 0 ] && [ "$1" != -- ]; do arguments+=("$1"); shift; done
  [ $# = 0 ] || shift
  small_job "$folder/job.yaml" pattern= output= "energy=[]" perplexity= ${arguments[@]+"${arguments[@]}"}
  printf '  %s\n' "$@" >"$folder/more"
  sed -i "/^  skip:/r $folder/more" "$folder/job.yaml"
}

# Kept weights of one linear, from the attribute of its mask.
kept() { h5dump -a "/$3/mask/kept" "$folder/run/masks/$1/layer-00$2.h5" | sed -n 's/.*(0): //p'; }

# ---- owl --------------------------------------------------------------------------------------------------

need h5dump
allocation_job method='[wanda, sparsegpt]' propagation=dense -- 'allocation: [uniform, owl]'
check "a job with owl ends well" runs ranks 2 run "$folder/job.yaml"
wanted=$(fingerprint)
outliers=$folder/run/outliers/threshold-5

check "outliers are counted once a layer, whatever the variants" same "$(cd "$folder/run/outliers" && find . -type f | sort)" \
  "$(printf './threshold-5/layer-00%s.json\n' 0 1 2 3)"
check "and as an independent count says" eval '
  for l in 0 1 2 3; do
    same "$(jq .weights "$outliers/layer-00$l.json")" "$(jq ".layers[$l].weights" tests/golden/outliers.json)" &&
      near "$(jq .outliers "$outliers/layer-00$l.json")" "$(jq ".layers[$l].outliers" tests/golden/outliers.json)" 2e-3 &&
      near "$(jq .mean_score "$outliers/layer-00$l.json")" "$(jq ".layers[$l].mean_score" tests/golden/outliers.json)" 1e-5 || break
  done'
# The definition once more, in jq: all layers have as many weights.
targets() {
  jq -s --argjson p "$1" 'map(.outlier_ratio) | (add / length) as $mean | map(. - $mean) |
    (map(if . < 0 then -. else . end) | max) as $furthest | map($p - 0.08 * . / $furthest)' "$outliers"/layer-*.json
}
# Every row of a linear keeps what its layer's target says: in - floor(in * target).
masks_follow_the_targets() {
  local variant=$1 layer
  for layer in 0 1 2 3; do
    near "$(kept "$variant" $layer self_attn.q_proj)" "$(targets "$2" | jq "128 * (128 - (128 * .[$layer] | floor))")" 0 &&
      near "$(kept "$variant" $layer mlp.down_proj)" "$(targets "$2" | jq "128 * (344 - (344 * .[$layer] | floor))")" 0 ||
      { echo "layer $layer"; return 1; }
  done
}
check "masks have the targets' sparsity" masks_follow_the_targets wanda-0.5-owl 0.5
check "uniform stays uniform" same "$(for l in 0 1 2 3; do kept wanda-0.5 $l mlp.down_proj; done | sort -u)" $((128 * 172))
check "the layers differ" eval '[ "$(for l in 0 1 2 3; do kept wanda-0.5-owl $l self_attn.q_proj; done | sort -u | wc -l)" -gt 1 ]'
# Of a block's scores the one at floor(count * sparsity) and its equals go as well: one weight of each block of 128 columns.
check "sparsegpt follows, block by block" eval '
  for l in 0 1 2 3; do
    near "$(kept sparsegpt-0.5-owl $l self_attn.q_proj)" "$(targets 0.5 | jq "16384 * (1 - .[$l])")" 1e-3 || break
  done'

# ---- any number of ranks, resume ---------------------------------------------------------------------------

check "3 ranks, the same bytes" again 3 "$folder/job.yaml"
check "score alone waits for the statistics" eval '
  rm -rf "$folder/run"; runs alone calibrate "$folder/job.yaml" && rm "$folder/run/statistics/dense/layer-002.h5" &&
  runs alone score "$folder/job.yaml" && grep -q "layer-002.*, which is not there yet" "$folder/stderr" && not exists "$folder/run/masks/wanda-0.5-owl/*"'
check "the rest of the stages one by one" eval '
  runs alone calibrate "$folder/job.yaml" && runs ranks 2 score --teams 2 "$folder/job.yaml" &&
  runs alone compensate "$folder/job.yaml" && same "$wanted" "$(fingerprint)"'
damage_outliers() {
  sed -i "s/\"outliers\": /\"outliers\": 1/" "$outliers/layer-001.json"
  exits 1 alone verify "$folder/run" && grep -q outliers/threshold-5/layer-001.json "$folder/stdout" || return 1
  rm "$folder"/run/masks/wanda-0.5-owl/layer-003.h5
  runs ranks 2 run "$@" "$folder/job.yaml" && same "$wanted" "$(fingerprint)"
}
check "a damaged count is made again" damage_outliers
check "and the program says so" grep -q "outliers/threshold-5/layer-001.json is damaged" "$folder/stderr"
check "also when it is only found on the way" damage_outliers --no-check
check "status knows the stage" eval 'alone status "$folder/run" | grep -q "^wanda-0.5-owl .* outliers 4/4  score 4/4"'
check "plan knows the stage" eval 'alone plan --json "$folder/job.yaml" | jq -e ".stages.outliers.units == 8"'

# ---- pruned propagation: the dense model's outliers all the same -------------------------------------------

# findings FOLDER: what its files say, beside which run they belong to.
findings() { jq -c "del(.made_from, .xxh3)" "$1"/*/*; }
cp -r "$folder/run/outliers" "$folder/outliers"
allocation_job method=wanda -- 'allocation: owl'
rm -rf "$folder/run"
check "owl with pruned propagation" runs ranks 2 run "$folder/job.yaml"
check "its outliers are those of the dense model" same "$(findings "$folder/outliers")" "$(findings "$folder/run/outliers")"
check "its statistics are its own" not same "$(sha256sum <"$folder/run/statistics/dense/layer-003.h5")" \
  "$(sha256sum <"$folder/run/statistics/wanda-0.5-owl/layer-003.h5")"
wanted=$(fingerprint)
check "alone, the same bytes" again 1 "$folder/job.yaml"
check "another threshold counts anew, and only that" eval '
  allocation_job method=wanda -- "allocation: owl" "owl_threshold: [5, 7]" &&
  runs ranks 2 run "$folder/job.yaml" && exists "$folder/run/outliers/threshold-7/layer-003.json" &&
  no_unit_twice && same "$(ls "$folder/run/masks")" "$(printf "wanda-0.5-owl\nwanda-0.5-owl-threshold7\n")"'

# ---- dlp ---------------------------------------------------------------------------------------------------

rm -rf "$folder/run"
allocation_job method=wanda propagation=dense sparsity='[0.7]' -- 'allocation: [dlp, owl]' 'dlp_alpha: [0.15, 0.1]'
check "a job with dlp ends well" runs ranks 2 run "$folder/job.yaml"
wanted=$(fingerprint)
medians=$folder/run/medians
check "medians are found once a layer, whatever the variants" same "$(cd "$medians" && find . -type f | sort)" \
  "$(printf './layer-00%s.json\n' 0 1 2 3)"
# The definition once more, in jq, in place of owl's: all layers have as many weights.
targets() {
  jq -s --argjson p "$1" 'map(.median_score) | (max - min) as $width | max as $most | map(2 * 0.15 * ($most - .) / $width) |
    (add / length) as $mean | map($p + $mean - .)' "$medians"/layer-*.json
}
check "masks have the targets' sparsity" masks_follow_the_targets wanda-0.7-dlp 0.7
check "the layers differ" eval '[ "$(for l in 0 1 2 3; do kept wanda-0.7-dlp $l self_attn.q_proj; done | sort -u | wc -l)" -gt 1 ]'
check "3 ranks, the same bytes" again 3 "$folder/job.yaml"
damage_medians() {
  sed -i "s/\"scored\": /\"scored\": 1/" "$medians/layer-001.json"
  exits 1 alone verify "$folder/run" && grep -q medians/layer-001.json "$folder/stdout" || return 1
  rm "$folder"/run/masks/wanda-0.7-dlp/layer-003.h5
  runs ranks 2 run "$folder/job.yaml" && same "$wanted" "$(fingerprint)"
}
check "a damaged median is found again" damage_medians
check "results say what was found and what follows" eval '
  alone run --json "$folder/job.yaml" >"$folder/results.json" && same "$(targets 0.7 | jq -c "map(. * 1000 | round)")" "$(
    jq -c "[.. | objects | select(.variant? == \"wanda-0.7-dlp\" and .allocation?)][0].allocation | map(.sparsity * 1000 | round)" "$folder/results.json")"'

# ---- measured ------------------------------------------------------------------------------------------------

rm -rf "$folder/run"
allocation_job method='[wanda, sparsegpt]' propagation=dense sparsity='[0.6]' skip='[mlp.gate_proj]' -- \
  'allocation: measured' 'measured_sequences: 2' 'ratios: {layers.0.mlp.up_proj: 0.25}'
check "a job with measured ends well" runs ranks 2 run "$folder/job.yaml"
wanted=$(fingerprint)
curves=$folder/run/curves/wanda-2
check "curves are measured once a layer, also for what wanda stands for" same "$(cd "$folder/run/curves" && find . -type f | sort)" \
  "$(printf './wanda-2/layer-00%s.json\n' 0 1 2 3)"
check "of the linears that are shared out, and of them together" same "$(jq -r '[.linears[].linear] | join(" ")' "$curves/layer-000.json")" \
  "self_attn.q_proj self_attn.k_proj self_attn.v_proj self_attn.o_proj mlp.down_proj *"
check "pruning more costs more" eval 'jq -e "all(.linears[]; .divergence[0] == 0 and .divergence[1] < .divergence[7])" "$curves/layer-001.json"'
alone run --json "$folder/job.yaml" >"$folder/results.json"
chosen() { jq "[.. | objects | select(.variant? == \"wanda-0.6-measured-sequences2\" and .allocation?)][0].allocation$1" "$folder/results.json"; }
check "the mean of what is chosen is the sparsity" near "$(chosen ' | (map(.weights * .sparsity) | add) / (map(.weights) | add)')" 0.6 1e-12
check "masks have the sparsity of each linear" eval '
  for l in 0 1 2 3; do
    near "$(kept wanda-0.6-measured-sequences2 $l mlp.down_proj)" \
      "$(chosen "[] | select(.layer == $l and .linear == \"mlp.down_proj\") | 128 * (344 - (344 * .sparsity | floor))")" 0 || break
  done'
check "a ratio stays what it is" same "$(kept wanda-0.6-measured-sequences2 0 mlp.up_proj)" $((344 * 96))
check "linears differ" eval '[ "$(for l in 0 1 2 3; do kept wanda-0.6-measured-sequences2 $l self_attn.q_proj; done | sort -u | wc -l)" -gt 1 ]'
check "3 ranks, the same bytes" again 3 "$folder/job.yaml"
damage_curves() {
  sed -i "s/\"tokens\": /\"tokens\": 1/" "$curves/layer-002.json"
  exits 1 alone verify "$folder/run" && grep -q curves/wanda-2/layer-002.json "$folder/stdout" || return 1
  rm "$folder"/run/masks/wanda-0.6-measured-sequences2/layer-003.h5
  runs ranks 2 run --teams 2 "$folder/job.yaml" && same "$wanted" "$(fingerprint)"
}
check "a damaged curve is measured again" damage_curves
check "status knows the stage" eval 'alone status "$folder/run" | grep -q "^wanda-0.6-measured-sequences2 .* curves 4/4  score 4/4"'
check "the report shows the curves" eval 'alone report "$folder/run" && grep -q "KL divergence of the next tokens" "$folder/run/report.html"'
cp -r "$folder/run/curves" "$folder/curves"
allocation_job method=wanda sparsity='[0.6]' skip='[mlp.gate_proj]' -- 'allocation: measured' 'measured_sequences: 2' 'ratios: {layers.0.mlp.up_proj: 0.25}'
rm -rf "$folder/run"
check "measured with pruned propagation" runs alone run "$folder/job.yaml"
check "its curves are those of the dense model" same "$(findings "$folder/curves")" "$(findings "$folder/run/curves")"
rm -rf "$folder/run"
allocation_job method=wanda sparsity='[0.6]' skip='[mlp.gate_proj]' compensate=', output: least_squares' -- \
  'allocation: measured' 'measured_sequences: 2' 'ratios: {layers.0.mlp.up_proj: 0.25}'
check "measured with least squares" runs ranks 2 run "$folder/job.yaml"
check "its curves are of solved weights, and their Hessians are gone" eval '
  exists "$folder/run/curves/wanda-least_squares-2/layer-003.json" && not exists "$folder/run/hessians/dense/*" &&
  jq -e --slurpfile plain "$folder/curves/wanda-2/layer-001.json" \
    "(.linears[-1].divergence[5]) < (\$plain[0].linears[-1].divergence[5])" "$folder/run/curves/wanda-least_squares-2/layer-001.json"'
wanted=$(fingerprint)
check "3 ranks, the same bytes with least squares" again 3 "$folder/job.yaml"

# ---- ratios ------------------------------------------------------------------------------------------------

rm -rf "$folder/run"
allocation_job method='[wanda, sparsegpt]' skip='[mlp.gate_proj]' propagation=dense -- \
  'ratios: {"layers.0.*": 0.25, "*.mlp.down_proj": 0.75, layers.3.mlp.down_proj: 0}'
check "a job with ratios ends well" runs alone run "$folder/job.yaml"
check "what no ratio fits has the job's sparsity" same "$(kept wanda-0.5 1 self_attn.q_proj)" $((128 * 64))
check "a layer's ratio" same "$(kept wanda-0.5 0 self_attn.q_proj)" $((128 * 96))
check "of two that fit, the later one counts" same "$(kept wanda-0.5 0 mlp.down_proj)" $((128 * 86))
check "a ratio of 0 keeps all" same "$(kept wanda-0.5 3 mlp.down_proj) $(kept sparsegpt-0.5 3 mlp.down_proj)" "44032 44032"
check "sparsegpt follows the ratios too" near "$(kept sparsegpt-0.5 1 mlp.down_proj)" $((128 * 86)) 1e-2
check "what is skipped has no mask" not kept wanda-0.5 0 mlp.gate_proj
check "other ratios contradict the run directory" eval '
  sed -i "s/0.25/0.3/" "$folder/job.yaml" && exits 2 two_quiet_ranks run "$folder/job.yaml" && one_line prune.ratios'

# Owl shares out what the ratios leave.
rm -rf "$folder/run"
allocation_job method=wanda propagation=dense -- 'allocation: owl' 'ratios: {"*.mlp.*": 0.25}'
check "owl together with ratios" runs alone run "$folder/job.yaml"
check "counts the linears that have none" same "$(jq .weights "$outliers/layer-000.json")" $((2 * 128 * 128 + 2 * 64 * 128))
check "and leaves the others alone" same "$(for l in 0 1 2 3; do kept wanda-0.5-owl $l mlp.down_proj; done | sort -u)" $((128 * 258))

# ---- refused -----------------------------------------------------------------------------------------------

allocation_job method=wanda -- 'ratios:' '  "layers.*": 0.5' '  "layers.9.*": 0.5'
check "a pattern that fits nothing is refused with its line" refused 2 \
  "job.yaml:$(grep -n 'layers.9' "$folder/job.yaml" | cut -d: -f1): prune.ratios: 'layers.9.*' fits no linear"
check "plan refuses it as well" exits 2 alone plan "$folder/job.yaml"
allocation_job method=wanda skip='[mlp.up_proj]' -- 'ratios: {mlp.up_proj: 0.5}'
check "so is one for linears that are skipped" refused 2 "'mlp.up_proj' fits no linear of the model that is pruned"
allocation_job method=wanda sparsity= pattern=2:4 -- 'allocation: owl'
check "owl and a pattern N:M are refused" refused 2 prune.allocation "needs prune.sparsity"
