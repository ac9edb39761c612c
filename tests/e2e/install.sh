#!/usr/bin/env bash
# install.sh - `cmake --install` into a folder of its own: the installed program runs there without the build.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
build=$(dirname "$COPPICE")
[ -f "$build/cmake_install.cmake" ] || skip_test "$build is not a build folder"

check "cmake --install" cmake --install "$build" --prefix "$folder/prefix"
installed=$(find "$folder/prefix" -type f -name coppice)
check "one program" same "$(wc -l <<<"$installed")" 1
check "all its libraries are found" eval '! ldd "$installed" | grep -q "not found"'
# Which BLIS is part of the program's identity: the installed one must not fall back to another variant of it.
blis_of() { ldd "$1" | awk '/libblis/ { print $3 }' | xargs realpath; }
check "the same BLIS as in the build" same "$(blis_of "$installed")" "$(blis_of "$COPPICE")"
check "it says its version" eval '"$installed" --version | grep -q "^coppice [0-9]"'

small_job "$folder/job.yaml" method=wanda pattern= output=
COPPICE=$installed
check "it runs a job on two ranks" runs ranks 2 run "$folder/job.yaml"
check "and prints its table" grep -q '^wanda-0.5' "$folder/stdout"
