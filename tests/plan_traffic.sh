#!/usr/bin/env bash
# plan_traffic.sh - does `coppice plan` know what ranks send each other? Runs the stages of jobs on the demonstration's model,
# counts messages and bytes at each rank's MPI calls (tests/preload/traffic.c), and prints them beside the plan's. What a start
# that finds nothing to do sends is taken off. slurm/SCALING.md is made of the plan's figures.
# Opt-in: it takes a minute or two for 16 ranks on 2 cores, and any machine will do.
#
#   tests/plan_traffic.sh [JOB...]      default: all; NODES="1 2 4", RANKS=4: nodes, as the ranks are told, and ranks on each
. "$(dirname "${BASH_SOURCE[0]}")/e2e/lib.sh"
need jq
need_tool traffic.so
counter=$tool
demo=$PWD/jobs/demo
ranks=${RANKS:-4}
need_tool idle.so

job() { # NAME LINE...
  cat >"$folder/$1.yaml" <<YAML
model: $demo/kjv-llama-1m
run: $folder/$1
calibration: {corpus: $demo/train.jsonl, sequences: 64, length: 64}
evaluate: {perplexity: $demo/test.jsonl, length: 256}
$(printf '%s\n' "${@:2}")
YAML
}
job energy 'prune: {method: cvr, sparsity: 0.5, propagation: dense}' 'compensate: {energy: [columns, rows], guard: false}'
job wanda 'prune: {method: wanda, sparsity: 0.5}'
job sparsegpt 'prune: {method: sparsegpt, sparsity: 0.5, propagation: dense}'
job alps 'prune: {method: alps, sparsity: 0.5}'

# counted STAGE JOB NODES: messages and bytes of all ranks.
counted() {
  rm -f "$folder"/traffic.*
  mpirun -n $(($3 * ranks)) -x LD_PRELOAD="$counter:$tool" -x TRAFFIC_FILE="$folder/traffic" -x TRAFFIC_RANKS_PER_NODE="$ranks" \
    "$COPPICE" "$1" --progress none "$folder/$2.yaml" >"$folder/out" 2>&1 || { cat "$folder/out" >&2; exit 1; }
  awk '{ messages += $3; bytes += $4 } END { print messages, bytes }' "$folder"/traffic.*
}

[ $# -gt 0 ] || set -- energy wanda sparsegpt alps
printf '%-10s %5s %5s  %-10s %10s %10s %6s %12s %12s %6s\n' job nodes ranks stage messages plan ratio bytes plan ratio
for name in "$@"; do
  stages=(calibrate score compensate evaluate)
  # With pruned propagation a layer's stages follow each other.
  grep -q 'propagation: dense' "$folder/$name.yaml" || stages=(run)
  for nodes in ${NODES:-1 2 4}; do
    "$COPPICE" plan --json --nodes "$nodes" --ranks-per-node "$ranks" "$folder/$name.yaml" >"$folder/plan.json" || exit 1
    for stage in "${stages[@]}"; do
      read -r messages bytes <<<"$(counted "$stage" "$name" "$nodes")"
      read -r idle_messages idle_bytes <<<"$(counted "$stage" "$name" "$nodes")"
      read -r planned planned_bytes <<<"$(jq -r --arg stage "$stage" \
        'if $stage == "run" then . else .stages[$stage] end | "\(.messages) \(.bytes_sent)"' "$folder/plan.json")"
      awk -v job="$name" -v nodes="$nodes" -v ranks="$ranks" -v stage="$stage" -v m=$((messages - idle_messages)) \
        -v b=$((bytes - idle_bytes)) -v pm="$planned" -v pb="$planned_bytes" 'BEGIN {
        printf "%-10s %5d %5d  %-10s %10d %10d %6.2f %12d %12d %6.2f\n", job, nodes, nodes * ranks, stage, m, pm, pm / (m > 0 ? m : 1),
          b, pb, pb / (b > 0 ? b : 1) }'
    done
    rm -rf "${folder:?}/$name"
  done
done
