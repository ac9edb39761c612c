#!/usr/bin/env bash
# out_of_memory.sh - a rank that may have little memory (ulimit -v) ends the whole job quickly, with one line that says
# what was asked for and what for, wherever the limit is met; `plan` and `run` have warned.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq
export "$kill_at_once"
need_maker
! grep -q libasan "$COPPICE" || skip_test "the sanitizers take terabytes of addresses"
# Hidden states and the inputs of linears are tens of MB: larger than what the program's libraries take.
"$maker" --layers 1 --hidden 512 --intermediate 1024 --heads 4 --vocab 1000 --tied "$folder/model"
jq -r .text jobs/demo/train.jsonl | tr '\n' ' ' >"$folder/train.txt"
small_job "$folder/job.yaml" model="$folder/model" method=sparsegpt pattern=2:4 sparsity= sequences=2 length=1024 output= \
  corpus="$folder/train.txt" perplexity="$folder/train.txt" evaluate_length=512 compensate=', output: mixed, guard: false'
sed -i 's/^evaluate:.*/evaluate: {perplexity: '"${folder//\//\\/}"'\/short.txt, length: 512}/' "$folder/job.yaml"
head -c 2000 "$folder/train.txt" >"$folder/short.txt"

# limited MB ARGUMENTS...: rank 1 of 2 may have MB megabytes of addresses.
limited() {
  quietly 2 bash -c '
    [ "${!rank_in}" != 1 ] || ulimit -v $(($0 * 1000)); exec "$@"' "$1" "$COPPICE" "${@:2}"
}
# The peak of what a rank maps in an undisturbed run, in MB.
rm -f "$folder/peak"
quietly 2 bash -c '"$@" & while grep VmPeak /proc/$!/status 2>/dev/null; do sleep 0.02; done >>"$0.${!rank_in}"
  wait $!' "$folder/peak" "$COPPICE" run --quiet "$folder/job.yaml" >/dev/null 2>&1
peak=$(awk '{ n = $2 > n ? $2 : n } END { print int(n / 1000) }' "$folder/peak.1")
wanted=$(fingerprint)
rm -rf "$folder/run"

said=0 ended=0
# one_limit MB: ends well, or as an error should.
one_limit() {
  rm -rf "$folder/run"
  limited "$1" run --progress none "$folder/job.yaml" >"$folder/stdout" 2>"$folder/stderr" </dev/null
  local code=$?
  [ "$code" != 0 ] || { echo ended; return 0; }
  same "$code" 1 || { cat "$folder/stderr"; return 1; }
  same "$(grep -c '^coppice: rank 1: .*' "$folder/stderr")" 1 || { cat "$folder/stderr"; return 1; }
  grep -q '^coppice: rank 1: \(out of \(shared \)\?memory: cannot .*bytes.* for\|.*: mapping its .* bytes failed: Cannot allocate\)' \
    "$folder/stderr" || { cat "$folder/stderr"; return 1; }
}
for percent in 97 91 85; do
  check "$percent % of the $peak MB that it maps" one_limit $((peak * percent / 100))
  if grep -q '^coppice: rank 1: out of.* memory: cannot' "$folder/stderr"; then said=$((said + 1)); fi
done
check "at least one of them says what was missing, and what for" [ "$said" -gt 0 ]
check "without the limit it goes on" goes_on 2 "$folder/job.yaml"
# Limits at which Open MPI itself would crash or speak: one line, whatever is done; all ranks, or one of them.
little() { # KIB RANKS COMMAND...
  exits 1 quietly "$2" bash -c 'ulimit -v "$0"; exec "$@"' "$1" "$COPPICE" "${@:3}" &&
    one_line "out of memory: program and MPI need" "(ulimit -v)"
}
check "150000 KiB of addresses" little 150000 2 run --progress none "$folder/job.yaml"
# How much it is depends on the MPI: the line says it, in whole MB. The line is there just below that.
least=$(sed -nE 's/.* need ([0-9]+) MB of addresses.*/\1/p' "$folder/stderr")
just_below=$(((least - 2) * 1000000 / 1024))
for kib in $(((150000 + just_below) / 2)) $just_below; do
  check "$kib KiB of addresses" little $kib 2 run --progress none "$folder/job.yaml"
done
check "the same of verify" little 150000 1 verify "$folder/run"
one_of_two() {
  rm -rf "$folder/run"
  exits 1 limited 150 run --progress none "$folder/job.yaml" && one_line "out of memory: program and MPI need"
}
check "the same of one rank of two" one_of_two
# COPPICE_LIMITS=100: so many limits, from where the loader finds room to where nothing is missing, for all ranks.
sweep() {
  local kib code bad=0
  for ((i = 0; i < COPPICE_LIMITS; i++)); do
    kib=$((70000 + (peak * 1000 - 70000) * i / COPPICE_LIMITS)) code=0
    rm -rf "$folder/run"
    quietly "$1" bash -c 'ulimit -v "$0"; exec "$@"' "$kib" "$COPPICE" run --progress none "$folder/job.yaml" \
      >"$folder/stdout" 2>"$folder/stderr" </dev/null || code=$?
    [ "$code" = 0 ] || { [ "$code" = 1 ] && [ "$(grep -vc -e ': careful: ' -e ': perplexity ' "$folder/stderr")" = 1 ]; } ||
      { bad=$((bad + 1)); echo "$kib KiB: exit code $code"; head -n 5 "$folder/stderr"; }
  done
  rm -rf "$folder/run"
  [ "$bad" = 0 ]
}
if [ -n "${COPPICE_LIMITS:-}" ]; then for n in 1 2; do check "$COPPICE_LIMITS limits, $n ranks" sweep $n; done; fi
# A length for which that is more than the program's libraries take.
warned() {
  local need plan=(plan --json --set calibration.length=4096 "$folder/job.yaml")
  need=$(ranks 2 "${plan[@]}" | jq '.memory | .rank + .node_shared')
  exits 0 bash -c 'ulimit -v $(($0 / 1024 * 9 / 10)); exec "$@"' "$need" "$COPPICE" "${plan[@]}" &&
    jq -e '.warnings | length == 1 and (.[0] | test("a rank needs .*B of memory, a process may have .*B here"))' \
      "$folder/stdout" || { jq .warnings "$folder/stdout"; return 1; }
}
check "plan had warned of such a limit" warned
