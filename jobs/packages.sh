# packages.sh - sourced by demo.sh and tests/run.sh: installs what is missing on Debian, and says so.

build_packages="gcc libc6-dev make cmake pkg-config openmpi-bin libopenmpi-dev libhdf5-openmpi-dev libblis-pthread-dev \
liblapacke-dev libcmocka-dev libjansson-dev libyaml-dev libpcre2-dev libutf8proc-dev libxxhash-dev zlib1g-dev libzstd-dev"

# What the build needs by the names of others, for people to install: `dnf` of Fedora and Enterprise Linux (with EPEL), `zypper`
# of openSUSE, Spack. Taken from their package lists; tried here is Debian.
dnf_packages="gcc make cmake pkgconf-pkg-config openmpi-devel hdf5-openmpi-devel blis-devel lapack-devel libcmocka-devel \
jansson-devel libyaml-devel pcre2-devel utf8proc-devel xxhash-devel zlib-devel libzstd-devel"
zypper_packages="gcc make cmake pkg-config openmpi4-devel hdf5-openmpi4-devel blis-devel lapacke-devel libcmocka-devel \
libjansson-devel libyaml-devel pcre2-devel utf8proc-devel xxhash-devel zlib-devel libzstd-devel"
spack_packages="cmake pkgconf openmpi hdf5+mpi blis netlib-lapack+lapacke cmocka jansson libyaml pcre2 utf8proc xxhash zlib zstd"

# Says once what is wanted on a system without Debian's packages.
name_packages() {
  echo "This is not Debian, so nothing is installed. The build needs" >&2
  if command -v dnf >/dev/null; then
    echo "  dnf install $dnf_packages" >&2
    echo "  module load mpi/openmpi-x86_64" >&2
  elif command -v zypper >/dev/null; then
    echo "  zypper install $zypper_packages" >&2
  elif command -v spack >/dev/null; then
    echo "  spack install $spack_packages" >&2
  else
    echo "  a C11 compiler, CMake, pkg-config, MPI, parallel HDF5, BLIS, LAPACKE, Jansson, LibYAML, PCRE2, utf8proc, xxHash, zlib," >&2
    echo "  Zstandard, and CMocka for the tests" >&2
  fi
}

# ensure_packages NAME...: installs those of Debian's packages that are missing. Returns at once when all are there.
ensure_packages() {
  local missing=() name log
  if ! command -v dpkg-query >/dev/null; then
    name_packages
    return 0
  fi
  for name in "$@"; do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'install ok installed' || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "Missing packages, and no sudo to install them: ${missing[*]}" >&2; return 1; }
    as_root=(sudo)
  fi
  log=$(mktemp "${TMPDIR:-/tmp}/coppice-packages-XXXXXX.log") || return 1
  echo "Installing Debian packages: ${missing[*]}" >&2
  "${as_root[@]}" apt-get -o DPkg::Lock::Timeout=300 -q update >"$log" 2>&1 &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -q -y \
      --no-install-recommends install "${missing[@]}" >>"$log" 2>&1 ||
    { grep -E '^(E|W): ' "$log" >&2; echo "They could not be installed; $log has what apt-get said" >&2; return 1; }
  rm -f "$log"
}

# build_folder [--no-blanks]: where the tree in the current folder is built: in it, or in the user's cache when it cannot be
# written to, or its path has blanks and may have none. COPPICE_BUILD: elsewhere.
build_folder() {
  if [ -n "${COPPICE_BUILD:-}" ]; then
    echo "$COPPICE_BUILD"
  elif [ -w . ] && ! [[ ${1:-} = --no-blanks && $PWD =~ [[:space:]:] ]]; then
    echo build
  else
    echo "${XDG_CACHE_HOME:-$HOME/.cache}/coppice/build-$(pwd | cksum | cut -d ' ' -f 1)"
  fi
}

# What Open MPI needs to run as root, in containers and on fewer cores than ranks; PRTE's names are those of Open MPI 5.
export_mpi_environment() {
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
  export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_mpi_yield_when_idle=1
  export PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe PRTE_MCA_hwloc_default_binding_policy=none
}
