#!/usr/bin/env bash
# coverage.sh - which lines the tests run.
#
#   tests/coverage.sh [PATTERN]      default: all tests but Slurm's; PATTERN as ctest -R takes it
#
# Builds in build-coverage with gcov's counters, runs the tests, and prints lines run of lines by file, the least first,
# then by room. build-coverage/coverage/index.html shows each line.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. jobs/packages.sh
build=build-coverage

# shellcheck disable=SC2086
ensure_packages $build_packages gcovr
cmake -S . -B $build -D CMAKE_BUILD_TYPE=None -D CMAKE_C_FLAGS="-O1 -g --coverage -fprofile-update=atomic" >/dev/null
cmake --build $build -j"$(nproc)" >$build/build.log 2>&1 || { tail -n 20 $build/build.log; exit 1; }
find $build -name '*.gcda' -delete
# What fails is told, and what it ran counts.
if [ $# -gt 0 ]; then select=(-R "$1"); else select=(-E '^slurm$'); fi
ctest --test-dir $build "${select[@]}" -j"$(nproc)" >$build/tests.log 2>&1 || grep -A 30 'tests passed' $build/tests.log
mkdir -p $build/coverage
gcovr --root . --object-directory $build --filter '(kernels|io|stages|pipeline)/' --gcov-ignore-parse-errors \
  --exclude-unreachable-branches --html-details $build/coverage/index.html --csv $build/coverage/lines.csv >/dev/null

# filename,line_total,line_covered,...
awk -F, 'NR > 1 {
    room = $1; sub("/.*", "", room)
    lines[room] += $2; run[room] += $3; lines["all"] += $2; run["all"] += $3
    if ($2 > 0) printf "%6.1f %% %5d of %5d  %s\n", 100 * $3 / $2, $3, $2, $1
  }
  END { for (room in lines) printf "%6.1f %% %5d of %5d  %s\n", 100 * run[room] / lines[room], run[room], lines[room], room }' \
  $build/coverage/lines.csv | sort -n
