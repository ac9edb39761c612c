#!/usr/bin/env bash
# test_check.sh - check.sh finds each kind of violation in a small tree made for it, and nothing in one without.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(mktemp -d "${TMPDIR:-/tmp}/coppice-structure-XXXXXX")
trap 'rm -rf "$folder"' EXIT
tree=$folder/tree
number=0 failures=0

# write FILE LINE...: a file of the tree, compiled if it is a C source.
write() {
  local file=$1
  shift
  mkdir -p "$tree/${file%/*}"
  printf '%s\n' "$@" >"$tree/$file"
  case $file in *.c) echo "  \"file\": \"$tree/$file\"," >>"$tree/build/compile_commands.json" ;; esac
}

sound_tree() {
  rm -rf "$tree"
  mkdir -p "$tree/build"
  write kernels/gemm.h '// A call in a comment: f(a, b, c, d, e, f, g, h)' \
    'void gemm(int a, int b, int c, int d, int e, int f, int g, int h);'
  write kernels/gemm.c '#include "kernels/gemm.h"' '#include <math.h>'
  write io/store/read.h '#include <hdf5.h>' '#include "kernels/gemm.h"' \
    'struct r { int (*f)(int, int); };' 'int read_rows(int a, void (*done)(int, int), int c, int d, int e, int f, int g);'
  write io/store/read.c '#include "io/store/read.h"' \
    'static int table[] = {f(1, 2, 3, 4, 5, 6, 7, 8)};' \
    'int read_rows(int a, void (*done)(int, int), int c, int d, int e, int f, int g) {' \
    '  return call(a, "{", 3, 4, 5, 6, 7, 8);' '}'
  write io/model/open.c '#include "io/store/read.h"' '#include "version.h"'
  write stages/stage.h '#include "io/store/read.h"'
  write stages/prune/prune.c '#include "stages/stage.h"'
  write pipeline/main.c '#include "stages/stage.h"' '#include <yaml.h>'
}

verdict() {
  number=$((number + 1))
  if [ "$1" = 0 ]; then echo "ok $number - $2"; else failures=$((failures + 1)); echo "not ok $number - $2"; fi
}

# finds LINE NAME: check.sh fails and names just this.
finds() {
  local output code=0
  output=$(bash "$here/check.sh" "$tree" | grep '^  ' | sed 's/^  //') || code=$?
  [ "$output" = "$1" ] && code=0 || { code=1; echo "expected: $1"; echo "found: $output"; }
  verdict "$code" "$2"
}

sound_tree
code=0
bash "$here/check.sh" "$tree" || code=$?
verdict $code "a sound tree passes"

sound_tree
write io/model/open.c '#include "stages/prune/limit.h"'
write stages/prune/limit.h ''
finds "upward io/model/open -> stages/prune/limit" "an include that points up"
sound_tree
write stages/prune/prune.c '#include "stages/stage.h"' '#include "tests/support/small.h"'
write tests/support/small.h ''
finds "upward stages/prune/prune -> tests/support/small" "an include of a test's header"
sound_tree
write kernels/gemm.c '#include "kernels/gemm.h"' '  #  include <mpi.h>'
finds "foreign kernels/gemm.c includes <mpi.h>" "MPI in the kernels"
sound_tree
write io/model/open.c '#include "io/store/read.h"' 'int lost(void) { return MPIX_Query_cuda_support(); }' '// MPIX_Comm_revoke'
finds "foreign io/model/open.c calls what one MPI has alone" "a call of Open MPI's own"
sound_tree
write io/model/open.c '#include "io/model/gone.h"'
finds 'missing io/model/open.c includes "io/model/gone.h"' "an include of nothing"
sound_tree
write io/store/read.c '#include "io/store/read.h"' '#include "io/store/write.h"'
write io/store/write.h '#include "io/store/read.h"'
finds "circle io/store/read -> io/store/write
circle io/store/write -> io/store/read" "a circle of two files"
sound_tree
write io/model/shape.h ''
write io/store/write.c '#include "io/model/shape.h"'
finds "folders io/model -> io/store
folders io/store -> io/model" "a circle of folders without one of files"
sound_tree
write io/model/rope/angle.h '#include "io/model/names/name.h"'
write io/model/rope/kind.h ''
write io/model/names/name.h ''
write io/model/names/list.h '#include "io/model/rope/kind.h"'
write io/model/open.c '#include "io/model/rope/angle.h"' '#include "io/model/names/list.h"'
finds "folders io/model/names -> io/model/rope
folders io/model/rope -> io/model/names" "a circle of folders inside a folder"
sound_tree
write stages/prune/prune.c '#include "stages/stage.h"' \
  'static int cut(const float a[static 4], int b, int (*c)(int, int), int d,' '  int e, int f, int g, /* , */ int h) {' '}'
finds "parameters stages/prune/prune.c cut 8" "a function with eight parameters"
sound_tree
echo >"$tree/io/model/lost.c"
finds "unreached io/model/lost.c is compiled by nothing" "a source that the build does not reach"
sound_tree
write io/model/lost.h ''
write io/model/lost.c '#include "io/model/lost.h"'
write io/model/alone.h '#include "io/model/alone.h"'
finds "unreached io/model/alone.h is included by nothing" "a header that nothing includes"

sound_tree
write kernels/METHOD.md '# Method' '## §1 Notation' '## §12 Calibration'
write kernels/gemm.h '// METHOD.md §1, §12 and §1.' 'void gemm(int a);'
code=0
bash "$here/check.sh" "$tree" >"$folder/output" || code=$?
verdict $code "citations of sections that are there"
write kernels/gemm.h '// METHOD.md §1 and §2.' 'void gemm(int a);'
finds "citation kernels/gemm.h cites METHOD.md §2" "a citation of a section that is not there"
write kernels/gemm.h '// METHOD.md, "Notation".' 'void gemm(int a);'
finds "citation kernels/gemm.h names METHOD.md and no section" "a citation without a section"

echo "1..$number"
[ $failures = 0 ]
