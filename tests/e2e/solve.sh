#!/usr/bin/env bash
# solve.sh - least squares and alps from outside: the same bytes on any number of ranks and after a kill, a damaged file
# of masks and weights is made again, a sweep that is measured removes what it can, and a run with teams counts its work
# to the end and not beyond.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq

# ---- pruned propagation: masks and weights are made together ------------------------------------------------

small_job "$folder/job.yaml" method='[wanda, alps]' sparsity= pattern=$'2:4\n  permute: true' energy='[]' \
  compensate=', output: least_squares'
undisturbed 2 "$folder/job.yaml"
check "plan knows the units that ran" same \
  "$(alone plan --json "$folder/job.yaml" | jq -c '[(.stages | map(.units) | add), (.stages | map(.done) | add)]')" \
  "$(alone status --json "$folder/run" | jq -c '[.all, .done]')"
facts() {
  jq -e '.linears | length == 28 and all((.solution_kept | type == "boolean") and .solution_tokens == 192 and
    .solution_steps >= 1 and .layer_error_compensated <= .layer_error_pruned) and any(.solution_kept)' "$1/coppice.json"
}
for model in alps-2of4-permuted wanda-2of4-permuted-output-least_squares; do
  check "coppice.json of $model says what was solved and kept" facts "$folder/models/$model"
done
# A bit in the middle of the largest dataset, the weights that were solved for.
damaged() {
  local file=$folder/run/masks/alps-2of4-permuted/layer-002.h5 place byte
  place=$(($(wc -c <"$file") / 2))
  byte=$(od -A n -t u1 -j "$place" -N 1 "$file")
  printf "\\$(printf %o $((byte ^ 16)))" | dd of="$file" bs=1 seek="$place" conv=notrunc status=none
  exits 1 alone verify "$folder/run" && grep -q masks/alps-2of4-permuted/layer-002.h5 "$folder/stdout" "$folder/stderr" &&
    runs ranks 3 run "$folder/job.yaml" && same "$wanted" "$(fingerprint)"
}
check "a damaged file of masks and weights is found and made again" damaged
check "killed while masks and weights are written, the same bytes from three ranks" \
  strike "$folder/job.yaml" 'run/masks/alps-2of4-permuted/.layer-001.h5.*' all 2 3

# ---- dense propagation, a sweep that is measured ------------------------------------------------------------

# Curves of early layers cost more than those of late ones, and teams share them out.
small_job "$folder/job.yaml" method='[wanda, alps]' pattern= sparsity=$'0.6\n  allocation: measured\n  measured_sequences: 2' \
  energy='[]' propagation=dense output= compensate=', output: least_squares' skip='[mlp.gate_proj, mlp.down_proj, self_attn.k_proj, self_attn.v_proj]'
undisturbed 1 "$folder/job.yaml"
check "dense propagation, 4 ranks in 3 teams" again 4 "$folder/job.yaml" --teams 3 --progress lines
counted() { # the last line of progress: "100.0 %  163 Gflop of 163 Gflop, ..."
  local line
  line=$(tr '\r' '\n' <"$folder/stderr" | grep ' of .*flop,' | tail -n 1)
  [[ $line =~ ^100\.0\ %\ +(.*)\ of\ (.*flop),\ .*\ elapsed ]] && same "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" ||
    { echo "$line"; return 1; }
}
check "which count their work to the end, and not beyond" counted
check "no weights are kept that were measured" same "$(find "$folder/run" -path '*/weights/*.h5')" ""
reported() {
  runs alone report --json "$folder/run" &&
    jq -e '[.linears[] | select(.solution_kept != null and .solution_steps >= 1)] | length == 24' "$folder/stdout"
}
check "the report still says what was solved and kept" reported

# ---- what means nothing -------------------------------------------------------------------------------------

# meaningless PRUNE COMPENSATE WORD...
meaningless() {
  local prune=$1 compensate=$2
  shift 2
  { sed '/^prune:/,$d' "$folder/job.yaml"; echo "prune: $prune"; echo "compensate: $compensate"; } >"$folder/bad.yaml"
  exits 2 alone plan "$folder/bad.yaml" && one_line "$@"
}
check "drift of alps" meaningless '{method: alps, sparsity: 0.5, drift: ignored}' '{output: least_squares}' prune.drift
check "drift without least squares" meaningless '{method: wanda, sparsity: 0.5, drift: ignored}' '{}' prune.drift
check "energy with least squares" meaningless '{method: wanda, sparsity: 0.5}' '{output: least_squares, energy: [rows]}' compensate.energy

# ---- a run that was begun with another default ---------------------------------------------------------------

small_job "$folder/old.yaml" run="$folder/old" method=magnitude pattern= energy='[]' output=
sed '/^  method:/d' "$folder/old.yaml" >"$folder/new.yaml"
check "a run of magnitude is begun" runs alone score "$folder/old.yaml"
check "a job that names no method does not go on with it" exits 2 alone run "$folder/new.yaml"
check "and the line says why" one_line "$folder/old/run.json" magnitude-0.5 prune.method alps
check "a job that names it does" runs alone score "$folder/old.yaml"
