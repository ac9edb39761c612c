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

# The scripts for Slurm come along, find one another and the program from any folder, and need the source tree for nothing.
mv "$folder/prefix" "$folder/moved"
installed=$folder/moved/${installed#"$folder/prefix/"}
small_job "$folder/job.yaml" propagation=dense model="$COPPICE_SOURCE/jobs/demo/kjv-llama-1m"
elsewhere() {
  (cd / && exits 0 env PATH=/usr/bin:/bin HOME="$folder" "$folder/moved/bin/coppice-submit" "$folder/job.yaml" --chain --dry-run) &&
    grep -q "^export COPPICE=$installed$" "$folder/stdout" || { cat "$folder/stdout"; return 1; }
  ! grep -q "$COPPICE_SOURCE/slurm" "$folder/stdout" &&
    for file in $(grep -o "$folder/moved/[^ ]*sbatch" "$folder/stdout" | sort -u) "$folder/moved/share/coppice/slurm"/{supervise.sh,settings.example,README.md}; do
      [ -r "$file" ] || { echo "no $file"; return 1; }
    done
}
check "jobs are submitted from anywhere" elsewhere

small_job "$folder/job.yaml" method=wanda pattern= output=
COPPICE=$installed
check "it runs a job on two ranks" runs ranks 2 run "$folder/job.yaml"
check "and prints its table" grep -q '^wanda-0.5' "$folder/stdout"
