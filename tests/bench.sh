#!/usr/bin/env bash
# Builds a release and times it: every tests/bench/bench_*.c and bench_*.py, or only those that are named. Opt-in: never part of
# ctest, and nothing fails because a machine is slow.
#
#   tests/bench.sh [--json] [NAME...]      e.g. tests/bench.sh pruning
#   BUILD=folder                           where to build (default: build-bench)
#   PYTHON=python3                         for the benchmarks beside a Python package, left out without it
#   COPPICE_LARGE=1                        least_squares, solving: also larger linears, which take minutes
#
# --json: one object a line with name, value, unit, beside, ratio, aim, met (tests/bench/bench.h).
set -euo pipefail

source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${BUILD:-$source_dir/build-bench}
json=()
names=()
for argument in "$@"; do
    case $argument in
    --json) json=(--json) ;;
    -h | --help)
        sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    -*)
        echo "bench.sh: unknown option $argument" >&2
        exit 2
        ;;
    *) names+=("$argument") ;;
    esac
done
if [ ${#names[@]} -eq 0 ]; then
    for file in "$source_dir"/tests/bench/bench_*.c "$source_dir"/tests/bench/bench_*.py; do
        name=${file##*/bench_}
        names+=("${name%.*}")
    done
fi

# One core each: the aims are per core, and a peer with threads would not be a peer.
export OMP_NUM_THREADS=1
# Open MPI in containers and as root; harmless elsewhere.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_hwloc_base_binding_policy=none

cmake -S "$source_dir" -B "$build" -DCMAKE_BUILD_TYPE=Release >&2
targets=(tokenizer_ids solve_linear)
for name in "${names[@]}"; do
    [ -e "$source_dir/tests/bench/bench_$name.py" ] || targets+=("bench_$name")
done
cmake --build "$build" -j 2 --target "${targets[@]}" >&2
for name in "${names[@]}"; do
    [ ${#json[@]} -gt 0 ] || printf '\n%s\n' "$name"
    if [ -e "$source_dir/tests/bench/bench_$name.py" ]; then
        "${PYTHON:-python3}" -B "$source_dir/tests/bench/bench_$name.py" "$build/tests" "${json[@]}"
    else
        "$build/tests/bench_$name" "${json[@]}"
    fi
done
