#!/usr/bin/env bash
# store_overhead.sh - what keeping everything on disk costs: the share of a run's wall time that is spent in the store
# (HDF5, checksums, reading back, fsync, waiting for other ranks in it), and the bytes written compared with the least that the
# design needs. On layers of LLaMA-7B's size, with random weights and few sequences. Opt-in: takes memory and minutes.
# Usage: tests/store_overhead.sh [--layers 2] [--sequences 4] [--length 512] [--ranks 2] [--method wanda]
#                                [--hidden 4096] [--intermediate 11008] [--heads 32]
# Looks at the program every 10 ms from outside (tests/preload/sampler.c): no number here comes from the program itself.
layers=2 sequences=4 length=512 n=2 method=wanda hidden=4096 intermediate=11008 heads=32
while [ $# -gt 0 ]; do
  case $1 in
    --layers) layers=$2 ;; --sequences) sequences=$2 ;; --length) length=$2 ;; --ranks) n=$2 ;;
    --method) method=$2 ;; --hidden) hidden=$2 ;; --intermediate) intermediate=$2 ;; --heads) heads=$2 ;;
    *) sed -n '2,8s/^# //p' "$0" >&2; exit 2 ;;
  esac
  shift 2
done
. "$(dirname "${BASH_SOURCE[0]}")/e2e/lib.sh"
need jq
need nm
need_tool sampler.so
sampler=$tool
need_maker
weights=$((layers * (4 * hidden * hidden + 3 * hidden * intermediate)))
needed=$((weights * 2 * 3 + sequences * length * hidden * 4 * 3))
free=$(df --output=avail -B 1 "$folder" | tail -n 1)
[ "$free" -gt "$needed" ] || skip_test "$folder has $free bytes free, $needed are needed"

"$maker" --layers "$layers" --hidden "$hidden" --intermediate "$intermediate" --heads "$heads" --vocab 1000 --tied \
  "$folder/model"
cp jobs/demo/train.jsonl "$folder/train.jsonl"
jq -r .text jobs/demo/train.jsonl | tr '\n' ' ' >"$folder/train.txt"
small_job "$folder/job.yaml" model="$folder/model" corpus="$folder/train.txt" sequences="$sequences" length="$length" \
  method="$method" sparsity= pattern=2:4 energy='[columns, rows]' output= perplexity= keep_activations=true

load=$(cut -d ' ' -f 1 /proc/loadavg)
began=${EPOCHREALTIME/./}
WATCHDOG=7200 runs quietly "$n" env LD_PRELOAD="$sampler" SAMPLE_FILE="$folder/samples" "$COPPICE" run \
  --progress none "$folder/job.yaml" || exit 1
seconds=$(((${EPOCHREALTIME/./} - began) / 1000000))

# ---- time: the functions of every sample --------------------------------------------------------------------

# Addresses and the symbol table in one sorted stream: an address is in the last function that begins before it.
{
  nm --defined-only "$COPPICE" | awk '$2 ~ /^[tT]$/ { print $1, "0", $3 }'
  cat "$folder"/samples.* | grep -v '^io' | tr ' ' '\n' | grep . | sort -u |
    awk '{ printf "%s%s 1\n", substr("0000000000000000", length($1) + 1), $1 }'
} | sort -k 1,2 | awk '$2 == 0 { name = $3; next } { sub(/^0*/, "", $1); print $1, name }' >"$folder/names"
# Of each sample: is it in the store; if so, is it for hidden states, whose bytes grow with the tokens; or does it make
# the masks and weights, which do not.
awk -v seconds="$seconds" '
  FNR == NR { name[$1] = $2; next }
  $1 == "io" { next }
  {
    all++; store = hidden = once = 0
    for (i = 1; i <= NF; i++) {
      if (name[$i] ~ /^store_/ && name[$i] != "store_exists") store = 1
      if (name[$i] ~ /^(hidden_states_|pass_sequences|propagate_layer)/) hidden = 1
      if (name[$i] ~ /^(prune_layer|compensate_layer|layer_weights_load|run_record_open|model_open)/) once = 1
    }
    if (store) in_store++
    if (store && hidden) in_hidden++
    if (!store && !once) forward++
    if (!store && once) rest++
  }
  END { print all, in_store + 0, in_hidden + 0, forward + 0, rest + 0 }' "$folder/names" "$folder"/samples.* >"$folder/shares"
read -r all in_store in_hidden forward rest <"$folder/shares"

# ---- bytes --------------------------------------------------------------------------------------------------

of() { find "$folder/run/$1" -type f -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'; }
written=$(awk '$1 == "io" { n += $3 } END { print n }' "$folder"/samples.*)
read_bytes=$(awk '$1 == "io" { n += $2 } END { print n }' "$folder"/samples.*)
# Hidden states between the layers, masks of a bit and weights of two bytes for every weight, five numbers a channel.
least_hidden=$(((layers - 1) * sequences * length * hidden * 4))
least=$((least_hidden + weights / 8 + weights * 2))

awk -v layers="$layers" -v sequences="$sequences" -v tokens="$length" -v ranks="$n" -v load="$load" -v seconds="$seconds" \
  -v all="$all" -v in_store="$in_store" -v in_hidden="$in_hidden" -v forward="$forward" -v rest="$rest" \
  -v written="$written" -v read_bytes="$read_bytes" -v least="$least" -v hidden="$(of activations)" -v masks="$(of masks)" \
  -v weights="$(of weights)" -v statistics="$(of statistics)" '
  function share(part) { return sprintf("%5.1f %%", 100 * part / all) }
  BEGIN {
    printf "%d layers, %d sequences of %d tokens, %d ranks, load of the machine before: %s\n", layers, sequences, tokens, ranks, load
    printf "wall time %d s, %d samples of %d ranks\n", seconds, all, ranks
    printf "  in the store                          %s\n", share(in_store)
    printf "    of that for hidden states           %s\n", share(in_hidden)
    printf "  forward passes, statistics            %s\n", share(forward)
    printf "  loading weights, masks, compensation  %s\n", share(rest)
    grow = 128 * 2048 / (sequences * tokens)
    big_store = in_store - in_hidden + in_hidden * grow
    big = big_store + rest + forward * grow
    printf "at 128 sequences of 2048 tokens, if hidden states and forward passes grow with the tokens (attention grows\n"
    printf "faster) and the rest stays: %.1f %% in the store\n", 100 * big_store / big
    printf "bytes\n  written %.1f MB, least %.1f MB, ratio %.3f\n", written / 1e6, least / 1e6, written / least
    printf "  in files: hidden states %.1f MB, masks %.1f MB, weights %.1f MB, statistics %.1f MB\n", hidden / 1e6, masks / 1e6,
      weights / 1e6, statistics / 1e6
    printf "  read (by calls; the checkpoint is mapped) %.1f MB\n", read_bytes / 1e6
  }'
