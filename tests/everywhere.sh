#!/usr/bin/env bash
# everywhere.sh - builds, installs and runs coppice on other systems than this one: makes a root file system of each from
# packages, prunes the demonstration's model there, and compares weights and perplexities with those of the first, bit by bit.
# Opt-in: needs root, debootstrap, a mirror of Debian, 1.5 GB of disk and some minutes a system. Nothing stays mounted.
# Usage: tests/everywhere.sh [--suite] [--folder FOLDER] [SYSTEM...]
#   --suite          runs the tests as well
#   --folder FOLDER  where the file systems are kept for the next time; else they are removed
#   SYSTEM           debian-12, debian-13; with -mpich, -clang or -openblas at its end: that MPI, compiler or BLAS. With -deb:
#                    nothing is built there, the .deb that was made on it before is installed. With -arm64: the kernels and their
#                    tests are built for that processor and run by an emulator. debian-13-bf16: the test of products in bfloat16
#                    runs on an emulated machine that has instructions for them. Default: all but these two and -openblas.
# KERNEL: BLIS's kernels, the same everywhere; haswell when it is not set. MIRROR: where debootstrap takes packages from; else
# where this system's apt does.
set -euo pipefail
export KERNEL=${KERNEL:-haswell}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
all="debian-12 debian-12-deb debian-12-mpich debian-12-clang debian-13 debian-13-deb debian-13-mpich debian-13-clang"

# ---- inside a root file system ---------------------------------------------------------------------------

# prune PROGRAM [OPTIONS...]: the hash of all pruned weights and of what they are worth, to the last bit. Nothing may hang.
prune() {
  local folder
  folder=$(mktemp -d)
  head -n 5 /src/jobs/demo/test.jsonl >"$folder/test.jsonl"
  FOLDER=$folder timeout 1800 mpirun -n 2 "$1" run --progress none "${@:2}" --set "evaluate.perplexity=$folder/test.jsonl" \
    /src/jobs/demo/demo.yaml >/dev/null || return 1
  (cd "$folder" && { find models -name '*.safetensors' | sort | xargs sha256sum
    find run/results -name perplexity.json | sort | xargs grep -ho '"mean_nll": *[^,]*'; } | sha256sum | cut -c 1-16)
  rm -rf "$folder"
}

# The kernels' tests for another processor.
kernels_on_arm64() {
  dpkg --add-architecture arm64
  ensure_packages make cmake pkg-config gcc libc6-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static \
    lib{blis-pthread,lapacke,cmocka,jansson}-dev:arm64
  export PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig
  cmake -S /src/tests/kernels_alone -B /build -D CMAKE_TOOLCHAIN_FILE=arm64.cmake -D COPPICE_WERROR=ON >/var/log/coppice.log 2>&1 &&
    cmake --build /build -j "$(nproc)" >>/var/log/coppice.log 2>&1 ||
    { grep -E 'error|warning|\*\*\*' /var/log/coppice.log || tail -n 20 /var/log/coppice.log; return 1; }
  ctest --test-dir /build -j "$(nproc)" --output-on-failure
}

# Products in bfloat16 by the processor's instructions, which few machines have.
kernels_on_bf16() {
  ensure_packages make cmake pkg-config gcc libc6-dev libdnnl-dev lib{blis-pthread,lapacke,cmocka,jansson}-dev
  cmake -S /src/tests/kernels_alone -B /build -D COPPICE_ONEDNN=ON -D COPPICE_WERROR=ON >/var/log/coppice.log 2>&1 &&
    cmake --build /build -j "$(nproc)" --target kernels.bf16_gemm >>/var/log/coppice.log 2>&1 ||
    { grep -E 'error|warning|\*\*\*' /var/log/coppice.log || tail -n 20 /var/log/coppice.log; return 1; }
  /src/tests/emulated_machine.sh /build/kernels.bf16_gemm | tee /var/log/machine.log &&
    grep -q 'bfloat16 by oneDNN .*, AVX512-BF16' /var/log/machine.log
}

inside() { # SYSTEM SUITE
  local packages options=()
  . /src/jobs/packages.sh
  export DEBIAN_FRONTEND=noninteractive LC_ALL=C
  export_mpi_environment
  export OMPI_MCA_btl=^tcp OMP_NUM_THREADS=1 # without a network Open MPI 5 complains of it
  case $1 in
    *-deb)
      apt-get -q update >/dev/null && apt-get -q -y --no-install-recommends install /coppice.deb >/var/log/coppice.log 2>&1 ||
        { tail -n 20 /var/log/coppice.log >&2; return 1; }
      prune coppice --kernel "$KERNEL"
      return
      ;;
  esac
  case $1 in
    *-arm64)
      kernels_on_arm64 >&2 && echo "the kernels' tests"
      return
      ;;
  esac
  case $1 in
    *-bf16)
      kernels_on_bf16 >&2 && echo "the test of products in bfloat16"
      return
      ;;
  esac
  packages="$build_packages dpkg-dev file"
  case $1 in
    *-mpich)
      packages=${packages/openmpi-bin/mpich}
      packages=${packages/libopenmpi-dev/libmpich-dev}
      packages=${packages/libhdf5-openmpi-dev/libhdf5-mpich-dev}
      ;;
    *-clang) packages+=" clang" options+=(-D CMAKE_C_COMPILER=clang) ;;
    *-openblas) packages+=" libopenblas-serial-dev" options+=(-D COPPICE_BLAS=OpenBLAS) ;;
  esac
  [ "$2" = no ] || packages+=" jq time hdf5-tools gnuplot-nox procps util-linux bc xxd git"
  # shellcheck disable=SC2086
  ensure_packages $packages
  cmake -S /src -B /build -D CMAKE_BUILD_TYPE=Release -D COPPICE_WERROR=ON -D COPPICE_TESTS=$([ "$2" = no ] && echo OFF || echo ON) \
    "${options[@]}" >/var/log/coppice.log 2>&1 && cmake --build /build -j "$(nproc)" >>/var/log/coppice.log 2>&1 &&
    cmake --install /build --prefix /opt/coppice >>/var/log/coppice.log &&
    (cd /build && cpack -G DEB >>/var/log/coppice.log && mv coppice_*.deb /coppice.deb) ||
    { grep -E 'error|warning|\*\*\*' /var/log/coppice.log >&2 || tail -n 20 /var/log/coppice.log >&2; return 1; }
  /opt/coppice/bin/coppice --version >&2
  case $1 in
    *-openblas) prune /opt/coppice/bin/coppice >/dev/null && echo "bits of its own" ;;
    *) prune /opt/coppice/bin/coppice --kernel "$KERNEL" ;;
  esac
  [ "$2" = no ] || ctest --test-dir /build -j 2 --output-on-failure >&2
}

if [ "${1:-}" = --inside ]; then
  inside "$2" "$3"
  exit
fi

# ---- the file systems ------------------------------------------------------------------------------------

suite=no folder=
while [ $# -gt 0 ]; do
  case $1 in
    --suite) suite=yes ;;
    --folder) folder=$2; shift ;;
    -*) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2 ;;
    *) break ;;
  esac
  shift
done
[ "$(id -u)" = 0 ] || { echo "everywhere.sh makes root file systems: run it as root" >&2; exit 2; }
command -v debootstrap >/dev/null || { echo "everywhere.sh needs debootstrap" >&2; exit 2; }
mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | head -n 1)}
[ -n "$mirror" ] || { echo "everywhere.sh: MIRROR has to say where Debian's packages are" >&2; exit 2; }
if [ -z "$folder" ]; then
  folder=$(mktemp -d "${TMPDIR:-/var/tmp}/coppice-everywhere-XXXXXX")
  trap 'rm -rf "$folder"' EXIT
fi
mkdir -p "$folder"
folder=$(realpath "$folder")

# root_of SYSTEM: makes its file system if it is not there.
root_of() {
  local name release
  name=$(cut -d - -f 1,2 <<<"$1")
  case $name in
    debian-12) release=bookworm ;;
    debian-13) release=trixie ;;
    *) echo "everywhere.sh: no system is called $1; there are $all" >&2; return 2 ;;
  esac
  if [ ! -e "$folder/$name.base/made" ]; then
    rm -rf "$folder/$name.base"
    debootstrap --variant=minbase --include=ca-certificates $release "$folder/$name.base" "$mirror" >"$folder/$name.log" 2>&1 ||
      { tail -n 20 "$folder/$name.log" >&2; return 1; }
    touch "$folder/$name.base/made"
  fi
  if [ ! -e "$folder/$1/made" ]; then
    rm -rf "${folder:?}/$1"
    cp -a "$folder/$name.base" "$folder/$1"
  fi
}

# in_root ROOT ARGUMENTS...: this script inside. The mounts are its own and go with it; the source tree is read-only.
in_root() {
  # shellcheck disable=SC2016
  unshare --mount --propagation private bash -c 'set -e
    root=$1 source=$2
    mount --bind "$root" "$root" # so that what is mounted on / there may be changed
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount -t sysfs -o ro sysfs "$root/sys"
    mkdir -p "$root/src"
    mount --bind "$source" "$root/src"
    mount -o remount,bind,ro "$root/src"
    cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || :
    exec chroot "$root" /src/tests/everywhere.sh --inside "${@:3}"' in_root "$1" "$here" "${@:2}"
}

[ $# -gt 0 ] || set -- $all # several words
failed=0 first=
for system in "$@"; do
  root_of "$system" || exit
  case $system in
    *-deb)
      [ -e "$folder/${system%-deb}/coppice.deb" ] || { echo "not ok - $system: ${system%-deb} has made no .deb"; failed=1; continue; }
      cp "$folder/${system%-deb}/coppice.deb" "$folder/$system/coppice.deb"
      ;;
  esac
  if ! hash=$(in_root "$folder/$system" "$system" "$suite"); then
    echo "not ok - $system"
    failed=1
    continue
  fi
  case $system in
    *-openblas | *-arm64 | *-bf16) first_or_own=$hash ;;
    *) first=${first:-$hash} first_or_own=$first ;;
  esac
  if [ "$hash" = "$first_or_own" ]; then
    echo "ok - $system: $hash"
  else
    echo "not ok - $system: weights $hash, those of the first are $first"
    failed=1
  fi
done
exit $failed
