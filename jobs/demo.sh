#!/usr/bin/env bash
# demo.sh - installs what is missing, builds coppice, and prunes the small trained model in jobs/demo on two ranks: four
# methods, 50 % and 2:4, with and without energy compensation; then with the kept weights solved for, and by the default
# method.   Usage: jobs/demo.sh [FOLDER]
# Builds in the folder build; in the user's cache when this tree is read-only.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. jobs/packages.sh

# shellcheck disable=SC2086
ensure_packages $build_packages gnuplot-nox
export_mpi_environment
export OMPI_MCA_btl=^tcp # the ranks are all here; without a network Open MPI 5 complains of it

build=$(build_folder)
echo "Building in $build" >&2
mkdir -p "$build"
log=$build/build.log
cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Release >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
cmake --build "$build" --target coppice -j "$(nproc)" >>"$log" 2>&1 || { cat "$log" >&2; exit 1; }

folder=${1:-$(mktemp -d "${TMPDIR:-/tmp}/coppice-demo-XXXXXX")}
mkdir -p "$folder"
for job in demo solved; do
  FOLDER=$(realpath "$folder") mpirun -n 2 "$build/coppice" run jobs/demo/$job.yaml
done
echo
"$build/coppice" compare --html "$folder/compare.html" "$folder/run" "$folder/solved"
"$build/coppice" report "$folder/run" >/dev/null
"$build/coppice" report "$folder/solved" >/dev/null

cat <<TEXT

The same with plots, for a browser:
  $folder/compare.html
  $folder/run/report.html

The pruned models are Hugging Face folders under $folder/models, for example
  $folder/models/alps-2of4

With a model of your own: write a job like the one in README.md (jobs/example.yaml has every key), and
  $build/coppice plan my.yaml
  mpirun -n 2 $build/coppice run my.yaml
Starting the same command again goes on where it stopped.
TEXT
