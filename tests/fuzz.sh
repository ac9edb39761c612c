#!/usr/bin/env bash
# fuzz.sh - fuzzes every parser with libFuzzer, ASan and UBSan.
#
#   tests/fuzz.sh [--seconds N] [TARGET...]      default: all targets of tests/fuzz/targets.c, 120 s each
#
# Builds in build-fuzz with clang. What it has found out so far stays in build-fuzz/corpus/TARGET, for the next time; an
# input that breaks a promise, takes more than 60 s or 2 GB goes to build-fuzz/findings. Look at one with
#   build/tests/fuzz TARGET FILE           (COPPICE_FUZZ_VERBOSE=1 shows error lines)
# Exit code 1 when there are findings.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. jobs/packages.sh
build=$PWD/build-fuzz seconds=120
if [ "${1:-}" = --seconds ]; then seconds=$2; shift 2; fi

# shellcheck disable=SC2086
ensure_packages $build_packages clang-14 libclang-rt-14-dev
cmake -S . -B "$build" -D CMAKE_BUILD_TYPE=None -D CMAKE_C_FLAGS="-O1 -gline-tables-only" \
  -D CMAKE_C_COMPILER=clang-14 -D COPPICE_SANITIZE=ON \
  -D COPPICE_FUZZ=ON >/dev/null
cmake --build "$build" -j"$(nproc)" --target fuzz >"$build/build.log" 2>&1 || { tail -n 20 "$build/build.log"; exit 1; }

export ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
export LSAN_OPTIONS=suppressions=$PWD/tests/lsan.supp:print_suppressions=0
export_mpi_environment
export TMPDIR=${TMPDIR:-/dev/shm}
mkdir -p "$build/findings"

fuzz_one() { # NAME SEEDS DICTIONARY
  local name=$1 log=$build/fuzz-$1.log corpus=$build/corpus/$1 options=() found
  mkdir -p "$corpus"
  [ "$2" = - ] || cp tests/fuzz/seeds/"$2"/* "$corpus"
  [ "$3" = - ] || options+=(-dict="tests/fuzz/dictionaries/$3.dict")
  COPPICE_FUZZ_TARGET=$name COPPICE_FUZZ_SEEDS=$corpus "$build/tests/fuzz" -max_total_time="$seconds" -timeout=60 \
    -rss_limit_mb=2048 -malloc_limit_mb=2048 -max_len=16384 -print_final_stats=1 -artifact_prefix="$build/findings/$name-" \
    "${options[@]}" "$corpus" >"$log" 2>&1 || true
  found=$(find "$build/findings" -name "$name-*" | wc -l)
  awk -v name="$name" -v found="$found" '
    / cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") coverage = $(i + 1); else if ($i == "corp:") corpus = $(i + 1) }
    /^stat::number_of_executed_units/ { runs = $2 }
    END { sub("/.*", "", corpus); printf "%-20s %12d %10d %8d %9d\n", name, runs, coverage, corpus, found }' "$log"
}

# Without a target the program lists them.
table=$("$build/tests/fuzz" 2>&1 | tail -n +2 || true)
printf '%-20s %12s %10s %8s %9s\n' target executions coverage corpus findings
while read -r name seeds dictionary; do
  [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
  fuzz_one "$name" "$seeds" "$dictionary"
done <<<"$table"
[ -z "$(ls -A "$build/findings")" ] || { echo "Findings are in $build/findings"; exit 1; }
