#!/usr/bin/env bash
# Builds a release and times it: every tests/bench/bench_*.c and bench_*.py, or only those that are named. Opt-in: never part of
# ctest, and nothing fails because a machine is slow.
#
#   tests/bench.sh [--json | --page] [NAME...]      e.g. tests/bench.sh pruning
#   BUILD=folder                           where to build (default: build-bench)
#   PYTHON=python3                         for the benchmarks beside a Python package, left out without it
#   MODEL=FOLDER, WANDA=FOLDER, CORES=2    for jobs: real models and official code (tests/bench/bench_jobs.py)
#   COPPICE_LARGE=1                        least_squares, solving, jobs: also larger sizes, which take minutes; not with --page
#
# --json: one object a line with name, value, unit, beside, ratio, aim, aim_is, met (tests/bench/bench.h).
# --page: writes a table for each into docs/speed.md, in place of the one that is there, below the first paragraph of the
# comment at the head of its file, and draws the pictures that a benchmark has (tests/bench/picture.sh); needs jq, gnuplot.
set -euo pipefail

source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${BUILD:-$source_dir/build-bench}
page=$source_dir/docs/speed.md
. "$source_dir/tests/bench/page.sh"
json=()
names=()
writes_page=
for argument in "$@"; do
    case $argument in
    --json) json=(--json) ;;
    --page)
        json=(--json)
        writes_page=yes
        unset COPPICE_LARGE
        ;;
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

# One core each, but for jobs: the aims are per core, and a peer with threads would not be a peer.
export OMP_NUM_THREADS=1
# Open MPI in containers and as root; harmless elsewhere.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_hwloc_base_binding_policy=none

cmake -S "$source_dir" -B "$build" -DCMAKE_BUILD_TYPE=Release >&2
targets=(coppice make_checkpoint tokenizer_ids solve_linear transfer_rows)
for name in "${names[@]}"; do
    [ -e "$source_dir/tests/bench/bench_$name.py" ] || targets+=("bench_$name")
done
cmake --build "$build" -j 2 --target "${targets[@]}" >&2

measure() { # NAME
    if [ -e "$source_dir/tests/bench/bench_$1.py" ]; then
        "${PYTHON:-python3}" -B "$source_dir/tests/bench/bench_$1.py" "$build/tests" "${json[@]}"
    else
        "$build/tests/bench_$1" "${json[@]}"
    fi
}

# From objects in FILE the section of NAME.
section() { # NAME FILE
    local file cores pictures
    cores=$(jq -s '.[0].cores // 1' "$2")
    file=$(ls "$source_dir/tests/bench/bench_$1".*)
    printf '### %s\n\n' "$1"
    # The first paragraph of the file's comment.
    sed -nE 's,^(// ?|""")(bench_[a-z_]*[.]c - )?,,; s,"""$,,; /^(#|$)/q; 1s,^.,\u&,; p' "$file"
    pictures=$("$source_dir/tests/bench/picture.sh" "$1" "$2")
    [ -z "$pictures" ] || printf '\n%s\n' "$pictures"
    printf '\n| | measured | unit | beside it | ratio | from, to | aim |\n|---|---|---|---|---|---|---|\n'
    jq -r 'def short: if . == 0 then 0 else (. as $x | (3 - ($x | fabs | log10 | floor)) as $d |
             pow(10; $d) as $p | ($x * $p | round) / $p) end;
           "| \(.name) | \(.value | short) | \(.unit) | \(.beside | short) | \(.ratio | short) | " +
           (if .low then "\(.low | short), \(.high | short)" else "" end) + " | " +
           (if .aim == null then "" else "\(.aim_is) \(.aim)" + (if .met then "" else ", missed" end) end) + " |"' "$2"
    [ "$cores" = 1 ] && cores='one core' || cores="$cores cores"
    printf '\n%s, %s; %s.\n' "$(processor_name)" "$cores" "$(date +%Y-%m-%d)"
}

for name in "${names[@]}"; do
    if [ -n "$writes_page" ]; then
        echo "bench.sh: $name" >&2
        measure "$name" >"$build/$name.json"
        section "$name" "$build/$name.json" >"$build/$name.md"
        [ ! -s "$build/$name.json" ] || replace_section "$page" "<!-- tests/bench.sh --page $name -->" \
            "<!-- end of $name -->" "$build/$name.md"
    else
        [ ${#json[@]} -gt 0 ] || printf '\n%s\n' "$name"
        measure "$name"
    fi
done
