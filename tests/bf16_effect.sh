#!/usr/bin/env bash
# bf16_effect.sh - what `compute: bf16` does to masks and perplexity: the same job in float32 and with bf16_emulated, on any
# processor. Prints the table of docs/speed.md in Markdown.
# Opt-in: half a minute with the model of this tree. Needs jq and hdf5-tools.
# Usage: tests/bf16_effect.sh [FOLDER [MODEL CALIBRATION TEXT [OPTIONS OF RUN...]]]     e.g. --set calibration.length=512
# Goes on where it stopped: run directories stay in FOLDER (build/bf16_effect). RANKS (2), COPPICE (build/coppice).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p "${1:-build/bf16_effect}"
folder=$(realpath "${1:-build/bf16_effect}") model=${2:-$PWD/jobs/demo/kjv-llama-1m}
train=${3:-$PWD/jobs/demo/train.jsonl} text=${4:-$PWD/jobs/demo/test.jsonl}
shift $(($# < 4 ? $# : 4))
. jobs/packages.sh
export_mpi_environment
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

for compute in float32 bf16_emulated; do
  cat >"$folder/$compute.yaml" <<YAML
model: $model
run: $folder/$compute
calibration: {corpus: $train, sequences: 32, length: 256}
prune: {method: [wanda, alps], sparsity: 0.5}
evaluate: {perplexity: $text}
YAML
  # The default goes unnamed, as in a job of any user.
  [ $compute = float32 ] || echo "compute: $compute" >>"$folder/$compute.yaml"
  mpirun -n "${RANKS:-2}" "${COPPICE:-build/coppice}" run "$@" "$folder/$compute.yaml" >/dev/null
done

perplexity() { jq -r '.mean_nll | exp * 1000 | round / 1000' "$folder/$1/results/$2/perplexity.json"; }

# Bits of the masks of a variant that are not the same in both runs, per ten thousand.
differing() {
  local file layer linear
  for file in "$folder"/float32/masks/"$1"/layer-*.h5; do
    layer=${file##*/}
    h5ls -r "$file" | awk '$1 ~ /\/mask$/ { print $1 }' | while read -r linear; do
      for compute in float32 bf16_emulated; do
        h5dump -d "$linear" -b LE -o "$folder/$compute.bits" "$folder/$compute/masks/$1/$layer" >/dev/null
      done
      echo "size $(stat -c %s "$folder/float32.bits")"
      cmp -l "$folder/float32.bits" "$folder/bf16_emulated.bits" || true
    done
  done | awk '$1 == "size" { bits += 8 * $2; next }
    { for (i = 1; i <= 3; i++) { # three octal digits
        a = substr("00" $2, length($2) + i, 1); b = substr("00" $3, length($3) + i, 1)
        for (k = 1; k < 8; k *= 2) other += int(a / k) % 2 != int(b / k) % 2 } }
    END { printf "%.2f %%", 100 * other / bits }'
  rm -f "$folder"/*.bits
}

echo "| | float32 | bf16 | mask bits that differ |"
echo "|---|---|---|---|"
for variant in dense wanda-0.5 alps-0.5; do
  bits=
  [ $variant = dense ] || bits=$(differing $variant)
  echo "| \`$variant\` | $(perplexity float32 $variant) | $(perplexity bf16_emulated $variant) | $bits |"
done
