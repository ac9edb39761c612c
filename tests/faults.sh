#!/usr/bin/env bash
# faults.sh - makes one call of the real program fail on one rank, again and again: allocations, files, HDF5, over all
# stages. Each time the job must end within seconds with that rank's message, once, and one exit code; nothing temporary
# is left, what was committed has the bytes of an undisturbed run, and a plain start afterwards goes on to the same end.
# Usage: tests/faults.sh [--sample N | --sites | --all] [--seed SEED] [--scene NAME] [--rank R] [--call NAME]
#                        [--in FUNCTION] [--one SCENE RANK CALL:NUMBER[+]:ERRNO]
#   --sample N  N calls, spread over the run (default 60)      --sites  one call of each place in the program
#   --all       every call: tens of thousands                  --one    this one, and what it printed
# A place is a call and the two functions that it is made from. --scene: pruned and dense propagation, again (a start in
# what a killed job left), verify, diagnose.
mode=sample sample=60 seed= only_scene= only_rank= only_call= only_in= one=()
while [ $# -gt 0 ]; do
  case $1 in
    --sample) mode=sample sample=$2; shift ;;
    --sites | --all) mode=${1#--} ;;
    --seed) seed=$2; shift ;;
    --scene) only_scene=$2; shift ;;
    --rank) only_rank=$2; shift ;;
    --call) only_call=$2; shift ;;
    --in) only_in=$2; shift ;;
    --one) mode=one one=("$2" "$3" "$4"); shift 3 ;;
    *) sed -n '2,12s/^# //p' "$0" >&2; exit 2 ;;
  esac
  shift
done
. "$(dirname "${BASH_SOURCE[0]}")/e2e/lib.sh"
need jq
need awk
need_tool interpose.so
interpose=$tool
need_maker
! grep -q libasan "$COPPICE" || skip_test "the sanitizers have allocators of their own"
export "$kill_at_once"
# Freed and unwritten memory is filled with a pattern, so that its use is seen.
export MALLOC_PERTURB_=165
seed=${seed:-$((${EPOCHREALTIME/./} % 32768))}
RANDOM=$seed
ranks=3 limit=${FAULT_LIMIT:-$(patiently 60)}

# ---- the scenes -------------------------------------------------------------------------------------------

"$maker" --layers 2 --hidden 32 --intermediate 48 --heads 2 --kv-heads 1 --vocab 300 --tied --shards 2 "$folder/model"
head -n 2 jobs/demo/train.jsonl >"$folder/train.jsonl"
head -n 1 jobs/demo/test.jsonl | jq -r .text | head -c 200 >"$folder/test.txt"
# scene_job NAME KEEP
scene_job() {
  cat <<END
model: $folder/model
run: $folder/run
output: $folder/models
calibration: {corpus: $folder/train.jsonl, sequences: 3, length: 8, keep_activations: $2}
evaluate:
  perplexity: $folder/test.txt
  length: 32
END
  case $1 in
    dense)
      echo "  tasks: [{data: $COPPICE_SOURCE/tests/golden/tasks/ARC-Easy-Test.jsonl, limit: 1}]"
      echo "prune: {method: [ria, sparsegpt], sparsity: 0.5, group: layer, propagation: dense}"
      echo "compensate: {energy: [rows]}" ;;
    *)
      echo "prune: {method: sparsegpt, pattern: 2:4}"
      echo "compensate: {energy: [columns, rows], output: mixed, guard: true}" ;;
  esac
}
arguments_of() {
  case $1 in
    dense) echo "run --progress none --teams 2 $folder/dense.yaml" ;;
    verify | diagnose) echo "$1 $folder/run" ;;
    *) echo "run --progress none $folder/$1.yaml" ;;
  esac
}

# Makes the files that a scene begins with. "again" is a start in a run directory that a killed job left.
set_scene() {
  rm -rf "$folder/run" "$folder/models" "$folder"/.models*
  case $1 in
    again)
      cp -a "$folder/wanted-again/run" "$folder/run"
      rm "$folder"/run/*/*/layer-001.h5 "$folder"/run/results/sparsegpt*/perplexity.json ;;
    verify | diagnose)
      cp -a "$folder/wanted-$1/run" "$folder/run"
      rm -f "$folder"/run/results/*/diagnostics.json ;;
  esac
}
# Files of a run, with their hashes; of run.json what does not tell the time.
hashes() {
  (
    cd "$1" || exit
    # Files of an unfinished export count under their final names.
    find run models* .models* -type f ! -name log.jsonl ! -name run.json 2>/dev/null | sort | xargs -r sha256sum |
      sed 's#\(  \|/\)\.\([^/]*\)\.partial-[^/]*#\1\2#'
    [ ! -e run/run.json ] || jq -S 'del(.started, .xxh3)' run/run.json | sha256sum
  )
}

# ---- one fault --------------------------------------------------------------------------------------------

errno_number() {
  case $1 in
    EIO) echo 5 ;; ENOMEM) echo 12 ;; EACCES) echo 13 ;; ENFILE) echo 23 ;; EMFILE) echo 24 ;; ENOSPC) echo 28 ;;
    EROFS) echo 30 ;; EDQUOT) echo 122 ;;
  esac
}
errno_text() {
  case $1 in
    5) echo "Input/output error" ;; 12) echo "Cannot allocate memory" ;; 13) echo "Permission denied" ;;
    23) echo "Too many open files in system" ;; 24) echo "Too many open files" ;; 28) echo "No space left on device" ;;
    30) echo "Read-only file system" ;; 122) echo "Disk quota exceeded" ;;
  esac
}
choose() { local options=("$@"); chosen=${options[RANDOM % $#]}; }
# Errors that each call may really fail with.
choose_errno() {
  case $1 in
    malloc | calloc | realloc | aligned_alloc | posix_memalign | strdup | open_memstream | mmap) chosen=ENOMEM ;;
    open | openat | fopen | opendir | fdopendir | fts_open | scandir | memfd_create) choose EMFILE ENFILE EIO EACCES ;;
    write | pwrite | fsync | fallocate | ftruncate | mkdir | link | close | fclose) choose ENOSPC EDQUOT EIO ;;
    rename | unlink | unlinkat | rmdir) choose EIO EROFS ENOSPC ;;
    *) chosen=EIO ;;
  esac
}

# inject SCENE RANK CALL:NUMBER:ERRNO: runs it; $code, and $took, in milliseconds from the fault to the end ("" when the
# call was never made).
inject() {
  local fault_time
  set_scene "$1"
  rm -f "$folder/fault"
  # shellcheck disable=SC2046
  quietly $ranks env LD_PRELOAD="$interpose${LD_PRELOAD:+:$LD_PRELOAD}" FAULT_RANK="$2" FAULT_CALL="$3" \
    FAULT_REPORT="$folder/fault" FAULT_LIMIT="$limit" "$COPPICE" $(arguments_of "$1") >"$folder/stdout" 2>"$folder/stderr" </dev/null
  code=$?
  took=
  [ -e "$folder/fault" ] || return 0
  fault_time=$(cut -d ' ' -f 1 "$folder/fault")
  took=$(((${EPOCHREALTIME/./} - fault_time) / 1000))
}
# where: the functions of the program that the failed call was made from.
where() {
  local address
  for address in $(cut -d ' ' -f 2-7 "$folder/fault" 2>/dev/null); do
    addr2line -f -e "$COPPICE" "$address" 2>/dev/null | head -n 1
  done | tr '\n' ' '
}

# judge SCENE RANK FAULT: prints what is wrong; $outcome otherwise.
judge() {
  local scene=$1 rank=$2 call=${3%%:*} reason=${3##*:} lines left bad
  [ -n "$took" ] || { outcome="not reached"; [ "$code" = 0 ] || echo "exit code $code without a fault"; return; }
  if [ "$code" = 124 ] || grep -q '^watchdog' "$folder/stderr"; then
    outcome=hang
    echo "hangs:"
    grep '^watchdog' "$folder/stderr" | while read -r _ _ rank_number _ _ addresses; do
      echo "rank $rank_number: $(for a in $addresses; do addr2line -f -e "$COPPICE" "$a" | head -n 1; done | tr '\n' ' ')"
    done
    return
  fi
  [ "$took" -lt $(patiently 5000) ] || [ "$code" = 0 ] || echo "took $took ms to end"
  # A file that the program was given may be refused: 3, the job file 2.
  case $code in
    0) outcome=unharmed ;;
    1) outcome="exit code 1" ;;
    2 | 3) outcome="exit code $code" ;;
    *) outcome=crash; echo "exit code $code" ;;
  esac
  if [ "$code" = 0 ]; then
    bad=$(hashes "$folder/wanted-$scene" | grep -vxF -f <(hashes "$folder")) && echo "silent success without: $bad"
    [ ! -s "$folder/stderr" ] || ! grep -v -e ': perplexity ' -e ' examples)$' "$folder/stderr" | grep -q 'cannot\|fail' || echo "says, and ends with 0"
  else
    # The message, once, and nothing else that speaks of an error.
    lines=$(grep -c '^coppice: ' "$folder/stderr")
    [ "$lines" = 1 ] || echo "$lines messages"
    bad=$(grep -v -e '^coppice: ' -e ': perplexity ' -e ' examples)$' -e 'was left by a program' "$folder/stderr") && echo "also prints: $bad"
    [ "$rank" = 0 ] || [ "$code" != 1 ] || grep -q "^coppice: .*rank $rank: " "$folder/stderr" || echo "does not name rank $rank"
    case $call in
      malloc | calloc | realloc | aligned_alloc | posix_memalign | strdup | open_memstream)
        grep -qi 'memory' "$folder/stderr" || echo "does not speak of memory" ;;
      H5* | readdir | __getdelim) ;;
      *) grep -qF -e "$(errno_text "$reason")" "$folder/stderr" || echo "does not give the system's reason" ;;
    esac
  fi
  left=$(find "$folder/run" "$folder"/models* "$folder"/.models* \( -name '.*' ! -name '.*.partial-*' -o -name 'lock*' \) 2>/dev/null)
  # A lock that cannot be removed stays, and the next start takes it over.
  [ "$call" != unlink ] || left=$(grep -v '/lock$' <<<"$left")
  [ -z "$left" ] || echo "left: $left"
  # Every file under its final name has the bytes of an undisturbed run; but a part of an evaluation has what was measured
  # when the other team failed.
  bad=$(hashes "$folder" | grep -v '  run/results/.*/parts/' | grep -vxF -f <(hashes "$folder/whole-$scene"; hashes "$folder/wanted-$scene")) && echo "other bytes: $bad"
}

# resumes SCENE: the same command once more, undisturbed.
resumes() {
  local bad
  # shellcheck disable=SC2046
  runs ranks 2 $(arguments_of "$1") || return
  # Files that could not be removed may stay.
  bad=$(hashes "$folder/wanted-$1" | grep -vxF -f <(hashes "$folder")) && echo "after going on, other bytes: $bad"
  no_leftovers_of_run
}
no_leftovers_of_run() {
  local left
  left=$(find "$folder/run" "$folder"/models* -name '.*' 2>/dev/null)
  [ -z "$left" ] || echo "left after going on: $left"
}

declare -A outcomes
# try SCENE RANK FAULT RESUME
try() {
  local problems
  inject "$1" "$2" "$3"
  judge "$1" "$2" "$3" >"$folder/problems" 2>&1
  # What goes on from a part must come to the same end.
  if [ "$outcome" != unharmed ] && { [ -n "$4" ] || compgen -G "$folder/run/results/*/parts/*" >/dev/null; }; then
    cp "$folder/stderr" "$folder/stderr.fault"
    resumes "$1" >>"$folder/problems" 2>&1
    mv "$folder/stderr.fault" "$folder/stderr"
  fi
  outcomes["${3%%:*} $outcome"]=$((${outcomes["${3%%:*} $outcome"]:-0} + 1))
  checks=$((checks + 1))
  if [ -s "$folder/problems" ]; then
    failures=$((failures + 1))
    echo "not ok $checks - $1, rank $2, $3 in $(where): $outcome"
    sed 's/^/#   /' "$folder/problems"
    [ ! -s "$folder/stderr" ] || sed 's/^/#   | /' "$folder/stderr" | head -n 12
  else
    echo "ok $checks - $1, rank $2, $3 in $(where): $outcome${took:+, $took ms}: $(grep '^coppice: ' "$folder/stderr" | head -n 1)"
  fi
}

# ---- which faults ------------------------------------------------------------------------------------------

keep_as() {
  mkdir "$folder/$1"
  cp -a "$folder/run" "$folder/$1/"
  [ ! -e "$folder/models" ] || cp -a "$folder/models" "$folder/$1/"
}
# prepare SCENE: the bytes that are wanted; whole-SCENE has also what an undisturbed run removes on its way.
prepare() {
  local scene=$1
  [ ! -d "$folder/wanted-$scene" ] || return 0
  for keep in true false; do
    rm -rf "$folder/run" "$folder/models" "$folder"/.models*
    scene_job "$scene" $keep >"$folder/$scene.yaml"
    case $scene in
      verify | diagnose) runs ranks 2 run --progress none "$folder/$scene.yaml" || exit 1; rm -r "$folder/models" ;;
    esac
    # shellcheck disable=SC2046
    runs ranks 2 $(arguments_of "$scene") || exit 1
    [ $keep = false ] || keep_as "whole-$scene"
  done
  keep_as "wanted-$scene"
  [ "$scene" = again ] || return 0
  set_scene again # what was removed before is not made again
  runs ranks 2 run --progress none "$folder/again.yaml" || exit 1
  rm -r "$folder/wanted-again"
  keep_as wanted-again
}
# made_in FUNCTION: of the lines of a count those with a return address in the function.
made_in() {
  awk -v range="$(nm -S --defined-only "$COPPICE" | awk -v name="$1" '$4 == name { print $1, $2; exit }')" '
    function number(hex, i, n) {
      for (i = 1; i <= length(hex); i++) n = n * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
      return n
    }
    BEGIN { split(range, ends, " "); begin = number(ends[1]); end = begin + number(ends[2]) }
    { for (i = 3; i <= NF; i++) { at = number(substr($i, 3)); if (at >= begin && at < end) { print; next } } }'
}
# count_calls SCENE RANK: $folder/count, a line for each call of an undisturbed run.
count_calls() {
  rm -f "$folder/count"
  set_scene "$1"
  # shellcheck disable=SC2046
  watched mpirun -n $ranks env LD_PRELOAD="$interpose${LD_PRELOAD:+:$LD_PRELOAD}" FAULT_RANK="$2" FAULT_COUNT="$folder/count" \
    "$COPPICE" $(arguments_of "$1")
}
# candidates SCENE RANK: "SCENE RANK CALL NUMBER", in the order in which they happen.
candidates() {
  runs count_calls "$1" "$2" >&2 || exit 1 # standard output is a list
  cp "$folder/count" "$folder/count-$1-$2"
  if [ -n "$only_in" ]; then
    made_in "$only_in" <"$folder/count-$1-$2" >"$folder/count"
  fi
  awk -v scene="$1" -v rank="$2" -v mode="$mode" -v seed="$seed" -v only="$only_call" '
    BEGIN { srand(seed) }
    only != "" && $1 != only { next }
    { calls++; site = mode == "all" ? NR : $1 " " $3 " " $4 }
    !(site in seen) { sites[++n] = site }
    # Of all calls from one place each is as likely.
    { if (rand() * ++seen[site] < 1) chosen[site] = $1 " " $2 }
    END { print calls, n >"/dev/stderr"; for (i = 1; i <= n; i++) print scene, rank, chosen[sites[i]] }' \
    "$folder/count" 2>"$folder/numbers"
  echo "# $1, rank $2: $(cut -d ' ' -f 1 "$folder/numbers") calls from $(cut -d ' ' -f 2 "$folder/numbers") places" >&2
}

if [ "$mode" = one ]; then
  prepare "${one[0]}"
  try "${one[@]}" yes
  cat "$folder/stderr"
  exit 0
fi
echo "# seed $seed"
: >"$folder/candidates"
for scene in ${only_scene:-pruned dense again verify diagnose}; do
  prepare "$scene"
  for rank in ${only_rank:-0 1}; do
    candidates "$scene" "$rank" >>"$folder/candidates"
  done
done
# Whatever a file holds is declared before anything is written, so that all ranks open it for writing once, and close it
# with a descriptor that leads into memory.
opened_once() {
  local opened files
  opened=$(grep -c '^memfd_create ' "$folder/count-dense-0")
  files=$(find "$folder/whole-dense/run" -name '*.h5' | wc -l)
  [ "$opened" -gt 0 ] && [ "$opened" -le "$files" ] || { echo "$opened times for $files files"; return 1; }
}
[ ! -e "$folder/count-dense-0" ] || check "a file is opened for writing once" opened_once
all=$(wc -l <"$folder/candidates")
if [ "$mode" = sample ] && [ "$sample" -lt "$all" ]; then
  # Evenly spread over the run, from a random start.
  awk -v n="$sample" -v all="$all" -v start=$((RANDOM % 1000)) 'BEGIN { next_at = start / 1000 * all / n }
    NR - 1 >= next_at { print; next_at += all / n }' "$folder/candidates" >"$folder/chosen"
else
  # In a random order: ended early, it has tried a bit of everything.
  awk -v seed="$seed" 'BEGIN { srand(seed + 1) } { printf "%.9f %s\n", rand(), $0 }' "$folder/candidates" | sort -n |
    cut -d ' ' -f 2- >"$folder/chosen"
fi
# Where a rank that failed once left the others waiting: always looked at.
if [ "$mode" = sample ] && [ -z "$only_call$only_in" ] && [ -e "$folder/count-pruned-1" ]; then
  while read -r function call; do
    made_in "$function" <"$folder/count-pruned-1" |
      awk -v call="$call" '$1 == call { print "pruned 1", $1, $2; exit }' >>"$folder/chosen"
  done <<<"plan_create calloc
alarm_create calloc
sequences_open H5Dget_type
store_write H5Sselect_none
store_write H5Screate_simple"
fi
count=0
while read -r -u 9 scene rank call number; do
  choose_errno "$call"
  reason=$(errno_number "$chosen")
  # Disks stay full and memory stays short: now and then all later calls fail, too.
  forever=
  case $call in
    malloc | calloc | realloc | aligned_alloc | write | pwrite | fallocate | fsync) [ $((RANDOM % 3)) != 0 ] || forever=+ ;;
  esac
  count=$((count + 1))
  resume=
  [ $((count % 6)) != 0 ] || resume=yes
  try "$scene" "$rank" "$call:$number$forever:$reason" "$resume"
done 9<"$folder/chosen"
echo "# seed $seed: $count faults of $all, $failures with problems"
for outcome in "${!outcomes[@]}"; do printf '# %6d  %s\n' "${outcomes[$outcome]}" "$outcome"; done | sort -k 3
