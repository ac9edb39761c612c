#!/usr/bin/env bash
# run.sh - installs what is missing, builds coppice and its tests, and runs them all.
# Usage: tests/run.sh [ctest arguments], e.g. tests/run.sh -R io.store
# Builds in the folder build; in the user's cache when this tree is read-only, or its path has blanks or colons.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. jobs/packages.sh

# shellcheck disable=SC2086
ensure_packages $build_packages hdf5-tools jq time gnuplot-nox \
  slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge iproute2 util-linux procps
export_mpi_environment

build=$(build_folder --no-blanks) # LD_PRELOAD holds none
cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Release -DCOPPICE_TESTS=ON -DCOPPICE_WERROR=ON >/dev/null
cmake --build "$build" -j "$(nproc)"
# Twice as many as there are cores: most tests wait for programs to start and end.
ctest --test-dir "$build" --output-on-failure -j "$((2 * $(nproc)))" "$@"
