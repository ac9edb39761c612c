#!/usr/bin/env bash
# table.sh - the table behind the defaults: perplexity of every method at 50, 60, 70 %, 2:4 and 4:8, by compensation and
# propagation, on two small trained models, mean over calibration seeds and how far the seeds are from it at most.
# Opt-in: the whole takes about an hour on 2 cores. Goes on where it stopped.
# Usage: tests/table.sh FOLDER [VARIABLE=WORDS...]    e.g. seeds="0 1 2" methods="wanda auto" models=kjv
#        propagations="pruned dense" compensations="none energy output output-bias" amounts="0.5 0.6 0.7 2:4 4:8"
# There are also the methods admm and alps, the compensations energy-unguarded, least-squares and permuted (patterns alone,
# their channels in an order; with least squares where the method does not solve by itself), and measured (sparsities alone,
# least squares, allocated by measurement).
# Writes FOLDER/table.csv and prints the tables in Markdown. RANKS (2), COPPICE (build/coppice).
set -euo pipefail
[ $# -gt 0 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
mkdir -p "$1"
folder=$(realpath "$1")
shift
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. jobs/packages.sh
export_mpi_environment
models="kjv stories" seeds="0 1 2" propagations="pruned dense" amounts="0.5 0.6 0.7 2:4 4:8"
methods="magnitude wanda ria cvr sparsegpt auto" compensations="none energy output output-bias"
for word in "$@"; do
  case $word in
    models=*|seeds=*|propagations=*|amounts=*|methods=*|compensations=*) declare "$word" ;;
    *) echo "unknown: $word" >&2; exit 2 ;;
  esac
done

# 32 sequences of 256; the text that measures is not the text that calibrates.
shared=../shared
[ -d $shared/models ] || { echo "../shared/models is not there" >&2; exit 1; }
head -c 150000 $shared/corpora/tinystories.txt >"$folder/stories-train.txt"
tail -c +150001 $shared/corpora/tinystories.txt >"$folder/stories-test.txt"
model_kjv=$shared/models/kjv-llama-1m train_kjv=$shared/corpora/kjv/train.jsonl test_kjv=$shared/corpora/kjv/test.jsonl
model_stories=$shared/models/stories260K train_stories=$folder/stories-train.txt test_stories=$folder/stories-test.txt
compensate_none='{}' compensate_energy='{energy: [columns, rows]}' compensate_output='{output: mixed}'
compensate_least_squares='{output: least_squares}' compensate_permuted='{output: least_squares}'
compensate_measured='{output: least_squares}'
declare -A prune_of=([permuted]='  permute: true' [measured]='  allocation: measured')
compensate_output_bias='{output: mixed, bias: true}' compensate_energy_unguarded='{energy: [columns, rows], guard: false}'

list() { local IFS=,; echo "[$*]"; }
for model in $models; do
  sparsities=() patterns=()
  for amount in $amounts; do
    case $model,$amount in
      stories,4:8) ;; # 8 does not divide its width of 172
      *:*) patterns+=("$amount") ;;
      *) sparsities+=("$amount") ;;
    esac
  done
  for propagation in $propagations; do
    for seed in $seeds; do
      for compensation in $compensations; do
        name=$model-$propagation-$compensation-$seed
        case $compensation in permuted) at=() ;; *) at=("${sparsities[@]}") ;; esac
        case $compensation in measured) neighbours=() ;; *) neighbours=("${patterns[@]}") ;; esac
        m=model_$model train=train_$model text=test_$model c=compensate_${compensation/-/_}
        cat >"$folder/$name.yaml" <<YAML
model: ${!m}
run: $folder/$name
calibration: {corpus: ${!train}, sequences: 32, length: 256, seed: $seed}
prune:
  method: $(list $methods)
${at:+  sparsity: $(list "${at[@]}")
}${neighbours:+  pattern: $(list "${neighbours[@]}")
}${prune_of[$compensation]:+${prune_of[$compensation]}
}  propagation: $propagation
compensate: ${!c}
evaluate: {perplexity: ${!text}, length: 256}
YAML
        echo "$name" >&2
        mpirun -n "${RANKS:-2}" "${COPPICE:-build/coppice}" run --progress none "$folder/$name.yaml" >"$folder/$name.out" ||
          { cat "$folder/$name.out"; exit 1; }
      done
    done
  done
done

csv() {
  echo model,propagation,compensation,seed,method,amount,perplexity
  local model propagation seed compensation name
  for model in $models; do
    for propagation in $propagations; do
      for seed in $seeds; do
        for compensation in $compensations; do
          name=$model-$propagation-$compensation-$seed
          "${COPPICE:-build/coppice}" plan --json "$folder/$name.yaml" |
            jq -r '.variants[] | [.name, .method // "dense", .pattern // .sparsity // 0] | join(" ")' |
            while read -r variant method amount; do
              echo "$model,$propagation,$compensation,$seed,$method,$amount,$(jq .perplexity \
                "$folder/$name/results/$variant/perplexity.json")"
            done
        done
      done
    done
  done
}
csv >"$folder/table.csv"

# tables < CSV: a table each of model and propagation, a line each of method and compensation.
awk -F, 'NR > 1 {
  table = $1 ", " $2 " propagation"; row = $5 == "dense" ? "dense" : $5 (($3 == "none") ? "" : " + " $3)
  if (!(table in tables)) { tables[table] = ++count; title[count] = table }
  if ($5 == "dense") { dense[table] = $7; next }
  if (!((table, row) in known)) { known[table, row] = 1; rows[table] = rows[table] row "\n" }
  if (!($6 in column)) { column[$6] = ++columns; name[columns] = $6 }
  key = table SUBSEP row SUBSEP $6
  sum[key] += $7; n[key]++; values[key] = values[key] " " $7
}
function cell(key,   mean, spread, i, list, d) {
  if (!(key in n)) return "-"
  mean = sum[key] / n[key]; spread = 0
  split(values[key], list, " ")
  for (i in list) { d = list[i] - mean; if (d < 0) d = -d; if (d > spread) spread = d }
  return sprintf(n[key] > 1 ? "%.2f ± %.2f" : "%.2f", mean, spread)
}
END {
  for (t = 1; t <= count; t++) {
    printf "\n%s; dense %.2f\n\n| |", title[t], dense[title[t]]
    for (c = 1; c <= columns; c++) printf " %s |", name[c] ~ /:/ ? name[c] : name[c] * 100 " %"
    printf "\n|---|"; for (c = 1; c <= columns; c++) printf "---|"; printf "\n"
    lines = split(rows[title[t]], label, "\n")
    for (i = 1; i < lines; i++) {
      printf "| %s |", label[i]
      for (c = 1; c <= columns; c++) printf " %s |", cell(title[t] SUBSEP label[i] SUBSEP name[c])
      printf "\n"
    }
  }
}' "$folder/table.csv"
