#!/usr/bin/env bash
# make_deb.sh FOLDER - for images: installs what the build needs, builds this tree in FOLDER and leaves coppice.deb there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. jobs/packages.sh
# shellcheck disable=SC2086
ensure_packages $build_packages dpkg-dev file
cmake -S . -B "$1" -D CMAKE_BUILD_TYPE=Release -D COPPICE_TESTS=OFF -D CMAKE_INSTALL_PREFIX=/usr
cmake --build "$1" -j "$(nproc)"
cd "$1"
cpack -G DEB
mv coppice_*.deb coppice.deb
