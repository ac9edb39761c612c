#!/usr/bin/env bash
# analyse.sh - cppcheck, clang-tidy and gcc -fanalyzer on the four rooms. Every complaint is a line; exit code 1.
#
#   tests/analyse.sh [--only cppcheck|clang-tidy|gcc] [FILE.c...]      default: all three, all files
#
# What they say of sound code is suppressed with its reason: analyse/cppcheck.supp, .clang-tidy, analyse/gcc.supp, or a
# NOLINT beside the line.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. jobs/packages.sh
only=
if [ "${1:-}" = --only ]; then only=$2; shift 2; fi
if [ $# -gt 0 ]; then files=("$@"); else mapfile -t files < <(git ls-files 'kernels/*.c' 'io/*.c' 'stages/*.c' 'pipeline/*.c'); fi
build=build-analyse
# shellcheck disable=SC2086
ensure_packages $build_packages cppcheck clang-tidy-14
cmake -S . -B $build -D COPPICE_TESTS=OFF >/dev/null # compile_commands.json and version.h
mkdir -p $build/cppcheck
found=$build/found
: >$found

wanted() { [ -z "$only" ] || [ "$only" = "$1" ]; }
# error.c defines what failure.inc wraps.
include_of() { [ "$1" = kernels/error.c ] || echo "-include $PWD/tests/analyse/failure.inc"; }

if wanted cppcheck; then
  cppcheck -j"$(nproc)" --quiet --enable=warning,performance,portability --inline-suppr --std=c11 -I. -D_GNU_SOURCE \
    --include=tests/analyse/macros.inc --cppcheck-build-dir=$build/cppcheck --suppressions-list=tests/analyse/cppcheck.supp \
    --template='{file}:{line}: {message} [cppcheck {id}]' "${files[@]}" >>$found 2>&1
fi

tidy() {
  # shellcheck disable=SC2046
  clang-tidy-14 -p build-analyse --quiet $(for word in $(include_of "$1"); do echo "--extra-arg=$word"; done) "$1" 2>/dev/null |
    grep -E '^[^ ]+:[0-9]+:[0-9]+: (warning|error):' | sed "s#^$PWD/##" || true
}
analyse() {
  # shellcheck disable=SC2046
  gcc -std=c11 -D_GNU_SOURCE -I. -Ibuild-analyse $(pkg-config --cflags ompi-c hdf5-openmpi) $(include_of "$1") -O1 \
    -fanalyzer -c -o /dev/null "$1" 2>&1 | grep -F -e '[-Wanalyzer' -e ' error: ' | grep -vEf <(grep -v -e '^#' -e '^$' tests/analyse/gcc.supp) || true
}
export -f tidy analyse include_of
if wanted clang-tidy; then printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -I{} bash -c 'tidy {}' >>$found; fi
if wanted gcc; then printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -I{} bash -c 'analyse {}' >>$found; fi
sort -u $found
[ ! -s $found ]
