#!/bin/bash
# scaling.sh - prints the tables of SCALING.md: what `coppice plan` says of three models on 1 to 256 nodes.
#
#   slurm/scaling.sh [RATES]      RATES as for coppice plan --machine; COPPICE=program (default: build/coppice)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
COPPICE=${COPPICE:-$here/../build/coppice}
rates=${1:-}
cores=128
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# 147 windows of 2048 tokens, about as many as WikiText-2's test text has.
{ cat "$here/../jobs/demo/train.jsonl"; head -n 81 "$here/../jobs/demo/train.jsonl"; } >"$folder/text.jsonl"

plan() { # NODES RANKS THREADS
  # --no-check: no disk here has room for what the largest writes.
  "$COPPICE" plan "$folder/job.yaml" --json --no-check --nodes "$1" --ranks-per-node "$2" --threads "$3" \
    ${rates:+--machine "$rates"} | awk -f "$here/json.awk"
}

for model in llama-2-7b llama-3-70b llama-3.1-405b; do
  "$here/shapes.sh" $model "$folder/$model"
  cp "$here/../jobs/demo/kjv-llama-1m/tokenizer.json" "$folder/$model/" # to count the tokens of the text
  cat >"$folder/job.yaml" <<YAML
model: $folder/$model
run: $folder/run
output: $folder/pruned
calibration:
  corpus: $here/../jobs/demo/train.jsonl
  sequences: 128
  length: 2048
  states_every: 300
prune:
  method: cvr
  sparsity: 0.5
  propagation: dense
compensate:
  energy: [columns, rows]
  guard: false
evaluate:
  perplexity: $folder/text.jsonl
YAML
  printf '\n### %s\n\n' $model
  echo '| nodes | ranks × threads | stage | time | most of it | read | written | sent | messages |'
  echo '|--:|--:|---|--:|---|--:|--:|--:|--:|'
  memory='' one=''
  for nodes in 1 8 64 256; do
    best=$(plan $nodes $cores 1 | awk -F '\t' '$1 ~ /^\.best\./ { print $2 }' | xargs)
    read -r ranks threads <<<"$best"
    plan $nodes "$ranks" "$threads" >"$folder/plan"
    awk -F '\t' -v nodes=$nodes -v ranks="$ranks" -v threads="$threads" '
      function bytes(value,   p, prefix) {
        split(",k,M,G,T,P", prefix, ",")
        for (p = 1; value >= 1000 && p < 6; p++) value /= 1000
        return sprintf(value < 10 && p > 1 ? "%.1f %sB" : "%.0f %sB", value, prefix[p])
      }
      function count(value) { return value < 1e6 ? sprintf("%.0f", value) : sprintf("%.1e", value) }
      function time(value) {
        if (value < 10) return sprintf("%.1f s", value)
        if (value < 600) return sprintf("%.0f s", value)
        return value < 36000 ? sprintf("%.0f min", value / 60) : sprintf("%.1f h", value / 3600)
      }
      { plan[$1] = $2 }
      END {
        for (c = 0; (".commands." c ".name") in plan; c++)
          for (s = 0; (".commands." c ".stages." s) in plan; s++)
            if (plan[".stages." plan[".commands." c ".stages." s] ".seconds"] > 0)
              stages[++rows] = plan[".commands." c ".stages." s]
        for (i = 1; i <= rows + 1; i++) {
          at = i <= rows ? ".stages." stages[i] : ""
          printf "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", i == 1 ? nodes : "",
            i == 1 ? ranks " × " threads : "", i <= rows ? stages[i] : "**all**", time(plan[at ".seconds"]),
            plan[at ".limit"], bytes(plan[at ".bytes_read"]), bytes(plan[at ".bytes_written"]),
            bytes(plan[at ".bytes_sent"]), count(plan[at ".messages"])
        }
      }' "$folder/plan"
    one=${one:-$(awk -F '\t' '$1 == ".seconds" { print $2 }' "$folder/plan")} # node
    memory+=$(awk -F '\t' -v nodes=$nodes -v ranks="$ranks" -v one="$one" '{ plan[$1] = $2 } END {
      printf "| %d | %.2f | %.1f GB | %.1f GB | %.0f GB |", nodes, one / (nodes * plan[".seconds"]), plan[".memory.rank"] / 1e9,
        plan[".memory.node_shared"] / 1e9, (ranks * plan[".memory.rank"] + plan[".memory.node_shared"]) / 1e9
    }' "$folder/plan")$'\n'
  done
  printf '\n| nodes | efficiency | memory of a rank | shared by a node | of the node |\n|--:|--:|--:|--:|--:|\n%s' "$memory"
  awk -F '\t' '$1 == ".work" { work = $2 } $1 ~ /^\.disk\./ && $2 > 0 { disk = disk sprintf(", %s %.1f GB", substr($1, 7), $2 / 1e9) }
    END { printf "\nWork %.0f Pflop. On disk%s.\n", work / 1e15, disk }' "$folder/plan" | sed 's/disk,/disk:/'
done
