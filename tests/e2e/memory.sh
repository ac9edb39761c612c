#!/usr/bin/env bash
# memory.sh - peak resident memory of a rank is what `plan` says, to 20 %, and grows neither with the number of
# sequences nor with that of layers.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq
[ -x /usr/bin/time ] || skip_test "/usr/bin/time is not installed"
need_maker

# One layer is 25 MB in float32, so that a program that held two would be seen.
make_model() { "$maker" --layers "$1" --hidden 768 --intermediate 2048 --heads 8 --kv-heads 4 --tied "$folder/model-$1"; }
make_model 2
make_model 4
# Windows of the text are looked at one by one.
head -n 1 jobs/demo/test.jsonl | jq -c '.text |= .[:300]' >"$folder/test.jsonl"

# measure LAYERS SEQUENCES [METHOD]: runs the job on two ranks; $said and $peak, the larger of the ranks', in bytes.
measure() {
  local job=$folder/job.yaml
  rm -rf "$folder/run" "$folder/peak"
  small_job "$job" model="$folder/model-$1" method="${3:-cvr}" pattern= sequences="$2" length=64 output= energy='[columns]'
  said=$(ranks 2 plan --json "$job" | jq .memory.peak_resident)
  runs watched mpirun -n 2 /usr/bin/time -f %M -a -o "$folder/peak" "$COPPICE" run "$job" || exit 1
  peak=$(($(sort -n "$folder/peak" | tail -n 1) * 1024))
  echo "# $1 layers, $2 sequences: planned $said, measured $peak bytes"
}
within() { awk -v a="$1" -v b="$2" 'BEGIN { print a, "compared with", b; exit !(a > 0.8 * b && a < 1.2 * b) }'; }
not_above() { awk -v a="$1" -v b="$2" 'BEGIN { print a, "compared with", b; exit !(a < 1.1 * b) }'; }

measure 2 4
small=$peak planned=$said
check "a small run is within 20 % of the plan" within "$peak" "$said"
measure 2 24
check "six times the sequences: within 20 % of the plan" within "$peak" "$said"
check "and no more memory" not_above "$peak" "$small"
check "nor does the plan say more" not_above "$said" "$planned"
measure 4 4
check "twice the layers: within 20 % of the plan" within "$peak" "$said"
check "and no more memory" not_above "$peak" "$small"
check "nor does the plan say more" not_above "$said" "$planned"
measure 2 8 auto
check "with a choice of masks: within 20 % of the plan" within "$peak" "$said"
