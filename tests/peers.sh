#!/usr/bin/env bash
# peers.sh - compares the masks and weights of coppice with those of the official research code, on the same calibration ids.
# Opt-in: takes a minute, a Python environment and clones of that code, which you bring:
# Usage: tests/peers.sh WANDA RIA    folders with github.com/locuslab/wanda (sparsegpt is in it) and
#                                    github.com/biomedical-cybernetics/Relative-importance-and-activation-pruning
# PYTHON: an interpreter with torch, numpy, transformers 4.36, safetensors, h5py, scipy; without it a virtual
# environment is made in build/venv-peers.  COPPICE: the program (build/coppice).
set -euo pipefail
[ $# = 2 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
wanda=$(realpath "$1") ria=$(realpath "$2")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. jobs/packages.sh
export_mpi_environment

python=${PYTHON:-build/venv-peers/bin/python}
if [ -z "${PYTHON:-}" ] && ! "$python" -c 'import torch, transformers, h5py, safetensors, scipy' 2>/dev/null; then
  echo "Making a Python environment in build/venv-peers" >&2
  python3 -m venv build/venv-peers
  build/venv-peers/bin/pip install -q torch numpy 'transformers==4.36.2' safetensors h5py scipy
fi

folder=$(mktemp -d "${TMPDIR:-/tmp}/coppice-peers-XXXXXX")
trap 'rm -rf "$folder"' EXIT
cp -r jobs/demo/kjv-llama-1m "$folder/model"
# In float32, as theirs is run here: nothing is rounded to bfloat16 between the layers.
"$python" - "$folder/model" <<'PYTHON'
import json, sys
from safetensors.torch import load_file, save_file
weights, config = (f"{sys.argv[1]}/{name}" for name in ("model.safetensors", "config.json"))
save_file({name: tensor.float() for name, tensor in load_file(weights).items()}, weights, metadata={"format": "pt"})
settings = json.load(open(config))
settings.pop("dtype", None)
json.dump({**settings, "torch_dtype": "float32"}, open(config, "w"))
PYTHON
job() {
  cat >"$folder/$1.yaml" <<YAML
model: $folder/model
run: $folder/$1
calibration: {corpus: $PWD/jobs/demo/train.jsonl, sequences: 16, length: 128}
prune: {$2, pattern: [2:4, 4:8]}
YAML
  mpirun -n 2 "${COPPICE:-build/coppice}" run "$folder/$1.yaml" >"$folder/$1.out" 2>&1 || { cat "$folder/$1.out"; exit 1; }
}
job row 'method: [wanda, ria, sparsegpt], sparsity: [0.3, 0.5]'
job layer 'method: magnitude, group: layer, sparsity: [0.3, 0.5]'

failed=0
peer() { "$python" tests/golden/peers.py "$1" "$folder/$2" "$folder/model" "$3" "$4" "$5" || failed=1; }
for amount in 0.3 0.5; do
  peer "$wanda" row wanda $amount wanda-$amount
  peer "$ria" row ria $amount ria-$amount
  peer "$wanda" row sparsegpt $amount sparsegpt-$amount
  peer "$wanda" layer magnitude $amount magnitude-$amount-layer
done
for amount in 2:4 4:8; do
  for method in wanda sparsegpt; do peer "$wanda" row $method $amount $method-${amount/:/of}; done
  peer "$ria" row ria $amount ria-${amount/:/of}
  peer "$wanda" layer magnitude $amount magnitude-${amount/:/of}
done
exit $failed
