#!/usr/bin/env bash
# check.sh - is the tree built as CONTRIBUTING.md says? Computed from the sources; every violation is a line.
#
#   tests/structure/check.sh [ROOT [BUILD]]     default: this tree, and its folder build
#
# arrows.awk judges the includes, parameters.awk the functions, citations.awk the sections of kernels/METHOD.md that
# comments cite. Besides, every source is compiled and every header is
# included by one: what nothing reaches is dead. And nothing is called that not every MPI has.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "${1:-$here/../..}"
build=${2:-build}

# The tracked files; all of them where git does not know the tree.
tree() { git ls-files "$@" 2>/dev/null || true; }
sources() {
  local found
  found=$(tree '*.[ch]')
  [ -n "$found" ] || found=$(find . -name '*.[ch]' ! -path './build*' | sed 's#^./##')
  # A file that was moved or removed and is not committed yet is still listed.
  for file in $found; do [ ! -e "$file" ] || echo "$file"; done | sort
}

all=$(sources)
rooms=$(grep -E '^(kernels|io|stages|pipeline)/' <<<"$all")

# compile_commands.json names every source that the build compiles, by its whole path. It takes one of the files that call a
# BLAS (cmake/blas.cmake), and one of those that are for oneDNN or stand for it (cmake/onednn.cmake).
unreached() {
  local compiled file
  compiled=$(sed -n 's/^ *"file": "\(.*\)",\{0,1\}$/\1/p' "$build/compile_commands.json")
  comm -13 <(sed "s#^$(pwd -P)/##; s#^$PWD/##" <<<"$compiled" | sort) <(grep '\.c$' <<<"$all") |
    sed -E '/^kernels\/(blas_(blis|cblas)|bf16_unit_(onednn|none))\.c$/d' |
    sed 's/$/ is compiled by nothing/'
  # Tests include the headers of their own folder by their names alone.
  # shellcheck disable=SC2086
  awk 'NR == FNR { if (/\.h$/) header[$0] = 1; next }
    match($0, /^[ \t]*#[ \t]*include[ \t]*"[^"]*"/) {
      name = $0; sub(/^[^"]*"/, "", name); sub(/".*/, "", name)
      beside = FILENAME; sub(/[^\/]*$/, name, beside)
      if (name != FILENAME) used[name] = 1
      if (beside != FILENAME) used[beside] = 1
    }
    END { for (name in header) if (!(name in used)) print name " is included by nothing" }' <(echo "$all") $all
}

# Calls that one MPI has alone, and headers of one alone: the program runs with any.
of_one_mpi() {
  # shellcheck disable=SC2086
  grep -HnE '(^|[^A-Za-z0-9_])(MPIX|OMPI|ompi|opal|mca)_[A-Za-z0-9_]+[[:space:]]*\(|<mpi-ext\.h>' $rooms | cut -d : -f 1 || true
}

found=$({
  # shellcheck disable=SC2086
  awk -f "$here/arrows.awk" $rooms
  # shellcheck disable=SC2086
  awk -v most=7 -f "$here/parameters.awk" $rooms
  # shellcheck disable=SC2086
  [ ! -e kernels/METHOD.md ] || awk -f "$here/citations.awk" kernels/METHOD.md $all
  unreached | sed 's/^/unreached\t/'
  of_one_mpi | sed 's/^/foreign\t/; s/$/ calls what one MPI has alone/'
} | tr '\t' ' ' | sort -u)

# An empty list of files would find nothing wrong with them.
[ "$(wc -l <<<"$rooms")" -gt 1 ] || { echo "no sources found in $PWD"; exit 1; }
[ -z "$found" ] || { echo "Not as CONTRIBUTING.md says:"; sed 's/^/  /' <<<"$found"; exit 1; }
echo "structure: $(wc -l <<<"$rooms") files in the four rooms"
