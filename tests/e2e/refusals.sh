#!/usr/bin/env bash
# refusals.sh - what `run` refuses before it works, `plan` refuses with the same line and exit code, and slurm/submit.sh
# before it submits. (Mistakes of job files, corpora and models: `refused` of lib.sh compares both in bad_*.sh.)
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need_maker
"$maker" --layers 2 --hidden 32 --intermediate 64 --heads 2 --vocab 300 --tied "$folder/model"
job=$folder/job.yaml disk=$folder/disk

# refusal NAME CODE WORDS PREPARE [KEY=VALUE...]: a run that is done, and another job in its place; PREPARE is done before.
# As nobody where root may do all. Run alone: on more ranks the same is asked by all.
refusal() {
  local name=$1 code=$2 words=$3 prepare=$4
  shift 4
  check "$name" refuses_both "$code" "$words" "$prepare" "$@"
}
refuses_both() {
  local code=$1 words=$2 prepare=$3 before
  shift 3
  rm -rf "$folder/run" "$folder/models"
  cp -a "$folder/kept/." "$folder/"
  small_job "$job" model="$folder/model" method=wanda pattern= length=16 "$@"
  eval "$prepare"
  before=$(ls -R "$folder" | grep -v std)
  exits "$code" as_nobody run --progress none "$job" && mv "$folder/stderr" "$folder/stderr.run" &&
    exits "$code" as_nobody plan "$job" && same "$(but_free "$folder/stderr.run")" "$(but_free "$folder/stderr")" &&
    one_line "$words" || return 1
  [ "$(ls -R "$folder" | grep -v std)" = "$before" ] || { echo "left something"; return 1; }
}
# Locks take room on a small disk.
but_free() { sed 's/, [0-9.]* [kM]*B are free/, some are free/' "$1"; }
nobody=()
as_nobody() { watched "${nobody[@]}" "$COPPICE" "$@"; }

small_job "$job" model="$folder/model" method=wanda pattern= length=16
check "a run" runs alone run --progress none "$job"
mkdir "$folder/kept"
cp -a "$folder/run" "$folder/models" "$folder/train.jsonl" "$folder/test.jsonl" "$folder/model" "$folder/kept/"
check "that is done is refused by neither" eval 'runs alone plan "$job" && runs alone run "$job"'

refusal "a contradiction to run.json" 2 "run.json: contradicts the job: " '' seed=4
refusal "another text" 2 "evaluate.perplexity: $folder/test.jsonl has changed since the run was begun" 'head -n 3 "$folder/train.jsonl" >"$folder/test.jsonl"'
refusal "a model that has changed" 2 "model: $folder/model/model.safetensors has changed since the run was begun: put it back as it was" '"$maker" --layers 2 --hidden 32 --intermediate 64 --heads 2 --vocab 300 --tied --seed 9 "$folder/model"'
refusal "a damaged run.json" 1 "does not match its checksum" 'sed -i "s/wanda/wander/" "$folder/run/run.json"'
refusal "an output that exists" 2 "exists and is not this run's" 'rm -r "$folder/run"; echo "{}" >"$folder/models/coppice.json"'
refusal "an export that lost a file" 1 "models/tokenizer.json: is gone; remove $folder/models and start the job again" 'rm "$folder/models/tokenizer.json"'
refusal "an export that lost a part of a file" 1 "models/model.safetensors: has 1000 bytes, and was exported with" 'truncate -s 1000 "$folder/models/model.safetensors"'
refusal "variants in the folder of a finished model" 2 "output: $folder/models is a model, and another would" 'rm -r "$folder/run"' method='[wanda, ria]' seed=4
refusal "a sweep that grows in the folder of its first model" 2 "back to $folder/models/wanda-0.5-columns-rows, where" '' method='[wanda, ria]'
away_and_back() {
  mv "$folder/models" "$folder/first" && mkdir "$folder/models" && mv "$folder/first" "$folder/models/wanda-0.5-columns-rows"
}
refusal "a sweep that shrinks to one of its models" 2 "make it $folder/models/wanda-0.5-columns-rows" away_and_back
# What the two refusals advise; the model that is there is not made again.
advice_is_good() {
  small_job "$job" model="$folder/model" method='[wanda, ria]' pattern= length=16 output="$folder/models"
  runs alone run "$job" && exists "$folder/models/ria-0.5-columns-rows/config.json" || return 1
  small_job "$job" model="$folder/model" method=wanda pattern= length=16 output="$folder/models/wanda-0.5-columns-rows"
  runs alone run "$job" && alone status "$folder/run" | grep -q ": complete$" && same "$(logged_units | grep -c "^export wanda")" 1
}
check "what they advise goes on" advice_is_good
refusal "an output in the folder of a model" 2 "output: $folder/model is a model" '' output="$folder/model/pruned"
refusal "an output that is a file" 2 "exists and is not this run's" 'rm -r "$folder/models"; echo >"$folder/models"'
refusal "an output below a file" 2 "output: $folder/model/config.json: Not a directory" '' output="$folder/model/config.json/out"
refusal "a run directory that is a file" 2 "run: $folder/test.jsonl: Not a directory" '' run="$folder/test.jsonl"
refusal "a link that leads nowhere" 2 "run: $folder/run: No such file" 'rm -r "$folder/run"; ln -s gone/away "$folder/run"'
refusal "an output in the run directory" 2 "lies in it" 'rm -r "$folder/run"' output="$folder/run/out"
refusal "a run directory in the output" 2 "lies in it" 'rm -rf "$folder/run"' output="$folder" run="$folder/run"
refusal "an output that is the model" 2 "must not be the same directory as model" '' output="$folder/model/"
refusal "no tokenizer" 3 "tokenizer.json: is not there" 'rm -r "$folder/run" "$folder/models" "$folder/model/tokenizer.json"'
refusal "no corpus" 2 "gone.jsonl: No such file" 'rm -r "$folder/run"' corpus="$folder/gone.jsonl"
refusal "no text" 2 "gone.jsonl: No such file" '' perplexity="$folder/gone.jsonl"
refusal "a text that is too short" 3 "less than one window" 'rm -r "$folder/run" "$folder/models"' evaluate_length=100000
refusal "a corpus that is too small" 3 "needs more" 'rm -r "$folder/run" "$folder/models"; echo "{\"text\": \"a b\"}" >"$folder/train.jsonl"'
refusal "a side file that leads nowhere" 3 "special_tokens_map.json: No such file" 'ln -s ../gone "$folder/model/special_tokens_map.json"'
rm "$folder/model/special_tokens_map.json"
refusal "a card that is a folder" 3 "README.md: not a regular file" 'rm -r "$folder/run" "$folder/models"; mkdir "$folder/model/README.md"'
rmdir "$folder/model/README.md"

# ---- one rank of several ----------------------------------------------------------------------------------

# A rank that is refused before MPI starts: the other would wait for it for ever.
one_of_two() { # RANK
  # shellcheck disable=SC2016
  exits 2 quietly 2 bash -c '[ "${!rank_in}" != "$0" ] || set -- "$@" --kernels; exec "$@"' "$1" "$COPPICE" run --quiet "$job" &&
    one_line "unknown option '--kernels'"
}
small_job "$job" model="$folder/model" method=wanda pattern= length=16 run="$folder/other"
check "a mistake in the options of the first rank alone" one_of_two 0
check "and of the second" one_of_two 1

# ---- rights and room: not root's rights, which no folder refuses -------------------------------------------

if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
  chmod -R a+rwX "$folder"
  nobody=(env -u LD_PRELOAD setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all)
  mkdir "$folder/closed"
  chmod 555 "$folder/closed"
  refusal "a run directory where this user may not write" 1 "run: $folder/closed: Permission denied" '' run="$folder/closed/a/b"
  refusal "an output where this user may not write" 1 "output: $folder/closed: Permission denied" '' output="$folder/closed/out"
  refusal "a side file that this user may not read" 3 "README.md: Permission denied" 'rm -r "$folder/run" "$folder/models"; touch "$folder/model/README.md"; chmod 0 "$folder/model/README.md"'
  rm "$folder/model/README.md"
  nobody=()
fi

mkdir "$disk"
trap '! mountpoint -q "$disk" || umount -l "$disk"; end_test' EXIT
if mount -t tmpfs -o size=64k tmpfs "$disk" 2>/dev/null; then
  refusal "a disk that is too small for the run" 1 "$disk/run: the run directory and the output need" '' run="$disk/run" output="$disk/models" sequences=64
  refusal "a disk that is too small for the output" 1 "$disk/models: the output needs" 'rm -r "$folder/run"' output="$disk/models" method='[wanda, cvr]'
  small_job "$job" model="$folder/model" method=wanda pattern= length=16 run="$disk/run" output= sequences=64
  check "--no-check plans and begins all the same" eval 'runs alone plan --no-check "$job" && exits 1 alone run --no-check "$job" &&
    grep -q "No space left on device" "$folder/stderr"'
  # What is there is not needed again: the disk is as full as it will be.
  small_job "$job" model="$folder/model" method=wanda pattern= length=16 run="$disk/run" output=
  enough() {
    rm -rf "$disk/run"
    mount -o remount,size=1m "$disk" && runs alone run "$job" || return 1
    head -c "$(($(df --output=avail -B1 "$disk" | tail -n 1) - 65536))" /dev/zero >"$disk/full"
    runs alone plan "$job" && runs alone run "$job"
  }
  check "a run that is done needs no disk" enough
else
  echo "# no small file systems: mounting needs root"
fi

# ---- submit.sh -------------------------------------------------------------------------------------------

submits_nothing() {
  exits 2 slurm/submit.sh "$job" --coppice "$COPPICE" --logs "$folder" && one_line "contradicts the job"
}
rm -rf "$folder/run" "$folder/models"
cp -a "$folder/kept/." "$folder/"
small_job "$job" model="$folder/model" method=wanda pattern= length=16 seed=4
check "submit.sh says so, and submits nothing" submits_nothing

# ---- what was exported, as verify sees it -----------------------------------------------------------------

put_back() { rm -rf "$folder/run" "$folder/models"; cp -a "$folder/kept/." "$folder/"; small_job "$job" model="$folder/model" method=wanda pattern= length=16; }
hashes_are_those_of_xxhsum() {
  local name wanted
  while read -r name wanted; do
    same "$wanted" "$(xxhsum -H3 "$folder/models/$name" | grep -o '[0-9a-f]\{16\}' | head -1)" || return 1
  done < <(jq -r '.files | to_entries[] | "\(.key) \(.value.xxh3)"' "$folder/models/coppice.json")
}
# flipped FILE: one bit in the middle of it.
flipped() {
  local place=$(($(wc -c <"$1") / 2)) byte
  byte=$(od -A n -t u1 -j "$place" -N 1 "$1")
  printf "\\$(printf %o $((byte ^ 16)))" | dd of="$1" bs=1 seek="$place" conv=notrunc status=none
}
named_by_verify() {
  exits 1 alone verify --json "$folder/run" && same "$1" "$(jq -r ".damaged[]" "$folder/stdout")" &&
    grep -q "^coppice: $1 is damaged or gone; remove $folder/models and start the job again" "$folder/stderr"
}
put_back
check "coppice.json names every file of the export but the card" same \
  "$(ls "$folder/models" | grep -v -e README.md -e coppice.json)" "$(jq -r '.files | keys[]' "$folder/models/coppice.json")"
! command -v xxhsum >/dev/null || check "with the hash that xxhsum -H3 prints" hashes_are_those_of_xxhsum
check "verify counts them" eval 'runs alone verify --json "$folder/run" &&
  same "$(find "$folder"/run "$folder/models" -name "*.h5" -o -name "*.json" -o -name "*.safetensors" | wc -l)" "$(jq .files "$folder/stdout")"'
for file in model.safetensors config.json coppice.json; do
  check "a flipped bit in the exported $file" eval 'put_back; flipped "$folder/models/$file"; named_by_verify "$folder/models/$file"'
done
check "coppice.json that is gone" eval 'put_back; rm "$folder/models/coppice.json"; named_by_verify "$folder/models/coppice.json"'
check "an exported file that is gone" eval 'put_back; rm "$folder/models/config.json"; named_by_verify "$folder/models/config.json"'
check "an edited card is nobody's damage" eval 'put_back; echo more >>"$folder/models/README.md"
  runs alone verify "$folder/run" && runs alone run "$job" && runs alone export "$job"'
check "a model that was removed is exported anew, with the same bytes" eval 'put_back; rm -r "$folder/models"
  runs alone verify "$folder/run" && runs alone run "$job" && diff -r "$folder/models" "$folder/kept/models"'

# ---- two jobs in one run, with an output each --------------------------------------------------------------

put_back
small_job "$folder/second.yaml" model="$folder/model" method=wanda pattern= length=16 sparsity=0.6 output="$folder/models/more"
check "a model is not put into another's folder" eval 'exits 2 alone run "$folder/second.yaml" && one_line "is a model"'
small_job "$folder/second.yaml" model="$folder/model" method=wanda pattern= length=16 sparsity=0.6 output="$folder/second"
check "a second job with another output" runs alone run "$folder/second.yaml"
check "verify counts both" eval 'runs alone verify --json "$folder/run" && same "$(jq .files "$folder/stdout")" \
  "$(find "$folder"/run "$folder/models" "$folder/second" -name "*.h5" -o -name "*.json" -o -name "*.safetensors" | wc -l)"'
exports_of() { alone status --json "$folder/run" | jq -c '[.complete, ([.variants[] | select(.stages.export) | .stages.export | [.done, .all]])]'; }
check "status knows both" same '[true,[[1,1],[1,1]]]' "$(exports_of)"
flipped "$folder/models/model.safetensors"
check "and finds a flipped bit in the first" named_by_verify "$folder/models/model.safetensors"
rm -r "$folder/models"
check "a folder that is elsewhere is not missed" runs alone verify "$folder/run"
check "but status says so" same '[true,[[1,1],[0,1]]]' "$(exports_of)"
