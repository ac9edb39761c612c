#!/usr/bin/env bash
# disk.sh - a disk that is full, read-only, limited or failing, for real: a line with the path, exit code 1, all ranks
# gone within seconds, what was committed intact, and the same command goes on once there is room.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq
export "$kill_at_once"
need_maker
"$maker" --layers 3 --hidden 32 --intermediate 64 --heads 2 --vocab 300 --tied "$folder/model"

disk=$folder/disk job=$folder/job.yaml
mkdir "$disk"
unmount() { ! mountpoint -q "$disk" || umount -l "$disk"; }
trap 'unmount; end_test' EXIT
small_job "$job" model="$folder/model" method=cvr pattern= run="$disk/run" output="$disk/models" length=16
hashes() { fingerprint "$disk/run" "$disk/models"; }
runs ranks 2 run "$job" || exit 1
wanted=$(hashes)
needed=$(du -s --apparent-size -B 1 "$disk/run" "$disk/models" | awk '{ n += $1 } END { print n }')
rm -r "$disk/run" "$disk/models"

# fails WORDS START...: quickly, with one line of the program that has every one of the WORDS (separated by |).
fails() {
  local words began=${EPOCHREALTIME/./} word
  IFS='|' read -r -a words <<<"$1"
  shift
  exits 1 "$@" || return 1
  [ $((${EPOCHREALTIME/./} - began)) -lt 20000000 ] || { echo "took $(((${EPOCHREALTIME/./} - began) / 1000)) ms"; return 1; }
  same "$(grep '^coppice: ' "$folder/stderr" | grep -vc '^coppice: careful: ')" 1 || { cat "$folder/stderr"; return 1; }
  for word in "${words[@]}"; do
    grep -q "^coppice: .*$word" "$folder/stderr" || { echo "no '$word' in: $(cat "$folder/stderr")"; return 1; }
  done
}
intact() { # what has its name is what an undisturbed run makes
  local found
  found=$(find "$disk" -name '.*.tmp-*')
  [ -z "$found" ] || { echo "left: $found"; return 1; }
  [ ! -e "$disk/run/run.json" ] || exits 0 alone verify "$disk/run"
}
recovers() { runs "${@:-alone}" run "$job" && same "$wanted" "$(hashes)"; }
# --no-check: it begins although the disk is too small.
two() { quietly 2 "$COPPICE" run --no-check --progress none "$job"; }

# ---- a small file system ----------------------------------------------------------------------------------

# full OPTIONS LARGER WORDS: on a tmpfs of that size until it fails, and on after it has grown.
full() {
  rm -rf "$folder"/run
  mount -t tmpfs -o "$1" tmpfs "$disk" || return 1
  fails "$3" two && intact && mount -o "remount,$2" "$disk" && recovers
  local result=$?
  unmount
  return $result
}
if mount -t tmpfs -o size=64k tmpfs "$disk" 2>/dev/null; then
  unmount
  for percent in 5 30 60 90; do
    check "a disk with room for $percent % of it" full "size=$((needed * percent / 100))" size=64m \
      "$disk|No space left on device"
  done
  check "a file system that runs out of inodes" full size=64m,nr_inodes=12 nr_inodes=10000 "$disk|No space left on device"

  read_only() {
    mount -t tmpfs -o size=64m tmpfs "$disk" || return 1
    runs ranks 2 calibrate "$job" && mount -o remount,ro "$disk" && fails "$disk/run|Read-only file system" two &&
      mount -o remount,rw "$disk" && intact && recovers
    local result=$?
    unmount
    return $result
  }
  check "a file system that became read-only" read_only

  # The memory that ranks share, in a namespace of its own, where the test's folder keeps its place if it is in there. MPI's
  # files are elsewhere: mpirun 4.1 waits for ever where it has no room for its own, and takes another way than memory for
  # messages; 5 is told where. MPICH has nowhere else to go, and does not start.
  no_shared_memory() {
    rm -rf "$disk/run" "$disk/models"
    local kept=/tmp/coppice-e2e-$$ result way=(-u OMPI_MCA_btl) words="out of shared memory: [0-9]* bytes for .*, and /dev/shm has [0-9]* bytes free"
    [ $mpi != openmpi-5 ] || way=(OMPI_MCA_btl=self,sm OMPI_MCA_btl_sm_backing_directory="$folder/tmp")
    mkdir "$kept" "$folder/tmp"
    # shellcheck disable=SC2016
    local start=(quieted timeout -k 1 60 env "${way[@]}" TMPDIR="$folder/tmp"
      unshare -m bash -c 'mount --bind "$0" "$1" && mount -t tmpfs -o size=4k tmpfs /dev/shm && mkdir -p "$0" &&
        mount --bind "$1" "$0" && exec mpirun "${@:2}"' "$folder" "$kept" $quiet_option -n 2 "$COPPICE" run --progress none "$job")
    if [ $mpi = hydra ]; then
      not runs "${start[@]}" && [ -s "$folder/stderr" ] && not exists "$disk/run" && recovers
    else
      fails "$words" "${start[@]}" && intact && recovers
    fi
    result=$?
    rmdir "$kept"
    return $result
  }
  check "a full /dev/shm" no_shared_memory
else
  echo "# no small file systems: mounting needs root"
fi

# A surrounding that lacks what most have: nothing in the environment but PATH, and no descriptor from 0 to 2 open.
bare() {
  rm -rf "$disk/run" "$disk/models"
  # shellcheck disable=SC2016
  exits 0 env -i PATH="$PATH" OMP_NUM_THREADS=1 bash -c 'exec "$@" <&- 2>&-' - "$COPPICE" run --progress none "$job" &&
    same "$wanted" "$(hashes)" || return 1
  # Nor is there a place for the results: an error, after all is done.
  # shellcheck disable=SC2016
  exits 1 env -i PATH="$PATH" bash -c 'exec "$@" <&- >&- 2>&-' - "$COPPICE" run --progress none "$job" &&
    same "$wanted" "$(hashes)"
}
check "no environment, and descriptors 0 to 2 closed" bare

# ---- limits and losses ------------------------------------------------------------------------------------

rank_1_may_write() { # a rank with a limit on the size of its files, in KiB
  quietly 2 bash -c '
    [ "${!rank_in}" != 1 ] || ulimit -f "$0"; exec "$@"' "$1" "$COPPICE" run --progress none "$job"
}
limited() {
  rm -rf "$disk/run" "$disk/models"
  fails "MPI's files need .*(ulimit -f)" rank_1_may_write 2 && intact && recovers ranks 3
}
# Not root's rights, which no folder refuses.
unwritable() {
  rm -rf "$disk/run" "$disk/models"
  mkdir "$disk/run"
  chmod 555 "$disk/run"
  fails "$disk/run|Permission denied" setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \
    "$COPPICE" run --progress none "$job" && chmod 755 "$disk/run" && recovers
}
check "a limit on the size of one rank's files" limited
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
  chmod -R a+rX "$folder"
  check "a folder that this user may not write to" unwritable
fi

# A rename that the system confirms and does not do, on the Nth file.
lost() {
  rm -rf "$disk/run" "$disk/models"
  fails "$disk|is not there after it was given its name" quietly 2 env LD_PRELOAD="$interpose" \
    FAULT_CALL="rename:$1:0" FAULT_RANK=0 "$COPPICE" run --progress none "$job" && intact && recovers
}
if can_interpose; then
  for n in 1 4 9; do check "rename number $n is lost" lost $n; done
fi

# ---- the checkpoint ---------------------------------------------------------------------------------------

# It is mapped into memory: the system sends SIGBUS where a read would have failed.
cut_short() {
  rm -rf "$disk/run" "$disk/models"
  cp -p "$folder/model/model.safetensors" "$folder/kept"
  start 2 run --progress none "$job"
  await 60 exists_or_gone "$disk/run/$1"
  truncate -s 4096 "$folder/model/model.safetensors"
  local began=${EPOCHREALTIME/./}
  finish_started
  cat "$folder/kept" >"$folder/model/model.safetensors"
  touch -r "$folder/kept" "$folder/model/model.safetensors"
  same "$code" 1 && [ $((${EPOCHREALTIME/./} - began)) -lt 10000000 ] || { cat "$folder/stderr"; return 1; }
  grep -q "^coppice: .*$folder/model/model.safetensors: can no longer be read" "$folder/stderr" ||
    { cat "$folder/stderr"; return 1; }
  recovers
}
check "a checkpoint that is cut short while it is read" cut_short 'masks/*/layer-000.h5'
check "the same while it is copied to the output" cut_short 'weights/*/layer-002.h5'
