#!/usr/bin/env bash
# valgrind.sh - a small job from reading to export, and what reads files of strangers, under Valgrind.
#
#   tests/valgrind.sh [TEST...]      default: the job, a part of the test `fuzz`, some tests; TEST as in build/tests
#
# Needs a build in build. Reading or writing out of bounds, values that were never set and lost memory fail.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. jobs/packages.sh
ensure_packages valgrind
export_mpi_environment
export OMP_NUM_THREADS=1 COPPICE_SOURCE=$PWD TMPDIR=${TMPDIR:-/dev/shm}
folder=$(mktemp -d "$TMPDIR/coppice-valgrind-XXXXXX")
trap 'rm -rf "$folder"' EXIT
failed=0

check() { # NAME COMMAND...
  local name=$1
  shift
  if valgrind --quiet --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --error-exitcode=9 \
    --num-callers=40 --suppressions=/usr/share/openmpi/openmpi-valgrind.supp --suppressions=tests/analyse/valgrind.supp \
    "$@" >"$folder/log" 2>&1; then
    echo "ok $name"
  else
    echo "not ok $name"
    grep '^==' "$folder/log" | head -n 40
    failed=1
  fi
}

if [ $# -eq 0 ]; then
  build/tests/make_checkpoint --hidden 8 --intermediate 12 --layers 1 --heads 2 --vocab 258 "$folder/model"
  for _ in 1 2 3 4 5; do printf 'the quick brown fox jumps over the lazy dog '; done >"$folder/text.txt"
  echo '{"query": "is it", "choices": ["yes", "no"], "gold": 0}' >"$folder/task.jsonl"
  cat >"$folder/job.yaml" <<END
model: model
run: run
output: pruned
calibration: {corpus: text.txt, sequences: 2, length: 8}
prune: {method: wanda, sparsity: 0.5}
evaluate: {perplexity: text.txt, length: 8, tasks: [task.jsonl]}
END
  check job build/coppice run "$folder/job.yaml"
  check fuzz build/tests/fuzz --every 40 --random 5 safetensors index config tokenizer job corpus_jsonl corpus_gzip task log \
    run_directory
  set -- io.model.weights.safetensors pipeline.job.job
fi
for test in "$@"; do check "$test" "build/tests/$test"; done
exit $failed
