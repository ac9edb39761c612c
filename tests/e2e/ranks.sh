#!/usr/bin/env bash
# ranks.sh - the same job gives the same bytes on any number of ranks, in any number of teams: statistics,
# activations, masks, weights, results, exported models. threads.sh is about threads.
# COPPICE_LARGE=1: on a larger model (8 layers, 512 wide), every method, outputs matched and guarded; takes many minutes.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq

if [ -n "${COPPICE_LARGE:-}" ]; then
  need_maker
  export WATCHDOG=${WATCHDOG:-3600}
  "$maker" --layers 8 --hidden 512 --intermediate 1376 --heads 8 --kv-heads 2 --vocab 2000 --shards 3 "$folder/model"
  # 1376 columns are 11 blocks of 128 but for 32, 9 sequences and 7 ranks have nothing in common.
  large_job() {
    small_job "$folder/$1.yaml" model="$folder/model" propagation="$1" sequences=9 length=64 "${@:2}"
  }
  all='[magnitude, wanda, ria, cvr, sparsegpt]'
  large_job pruned method="$all" sparsity=0.5 pattern= group=layer energy='[columns, rows]' \
    compensate=', output: mixed, guard: true'
  undisturbed 1 "$folder/pruned.yaml"
  for n in 2 3 4 7; do
    check "large, pruned propagation, all methods, matched and guarded, $n ranks" again "$n" "$folder/pruned.yaml"
  done
  check "large, pruned propagation, 3 ranks of 2 threads" again 3 "$folder/pruned.yaml" --threads 2
  large_job dense method="$all" sparsity= pattern=2:4 energy='[rows]' compensate=', output: regression'
  undisturbed 7 "$folder/dense.yaml"
  check "large, dense propagation, 1 rank of 2 threads" again 1 "$folder/dense.yaml" --threads 2
  check "large, dense propagation, 2 ranks in 2 teams" again 2 "$folder/dense.yaml" --teams 2
  check "large, dense propagation, 4 ranks in 3 teams" again 4 "$folder/dense.yaml" --teams 3
  check "large, dense propagation, 7 ranks in 5 teams of 1 and 2, 2 threads" again 7 "$folder/dense.yaml" --teams 5 --threads 2
  exit 0
fi

# What another MPI's launcher starts is that many worlds of one rank: one line, of the first of them.
strangers() {
  exits 2 env PMI_RANK=1 PMI_SIZE=2 "$COPPICE" run "$1" && [ ! -s "$folder/stderr" ] || { cat "$folder/stderr"; return 1; }
  exits 2 env PMI_RANK=0 PMI_SIZE=2 "$COPPICE" run "$1" && one_line "2 ranks were started, and each is alone" "--mpi= of srun"
}
small_job "$folder/strangers.yaml"
check "ranks that do not know one another are refused" strangers "$folder/strangers.yaml"
check "before they begin" not test -e "$folder/run"

# 5 sequences and 13 windows: no number of ranks divides them. Whole-matrix selection goes over all ranks' rows.
small_job "$folder/pruned.yaml" method=cvr group=layer pattern= keep_activations=true
undisturbed 1 "$folder/pruned.yaml"
for n in 3 7; do # 2 and 4: below, and in other scripts
  check "pruned propagation, $n ranks" again "$n" "$folder/pruned.yaml"
done

small_job "$folder/dense.yaml" method='[ria, wanda]' sparsity= propagation=dense
undisturbed 2 "$folder/dense.yaml"
check "dense propagation, 2 ranks in 2 teams" again 2 "$folder/dense.yaml" --teams 2
check "dense propagation, 4 ranks in 3 teams" again 4 "$folder/dense.yaml" --teams 3
check "each team says what it measured" same "$(grep -c ': perplexity ' "$folder/stderr")" "$(find "$folder/run/results" -name perplexity.json | wc -l)"

# 2 sequences and no windows: there is no work for the other ranks, and they take part in nothing.
small_job "$folder/few.yaml" method=cvr pattern= sequences=2 perplexity=
undisturbed 1 "$folder/few.yaml"
check "4 ranks for 2 sequences" again 4 "$folder/few.yaml"
check "two of them calibrate" same "$(jq -r 'select(.event == "unit" and .stage == "calibrate") | .team_ranks' "$folder/run/log.jsonl" | sort -u)" 2

# A launcher that was told of no other process numbers this one: it is alone, and speaks.
small_job "$folder/job.yaml" method=wanda pattern= run="$folder/alone" output=
check "a program alone speaks, whatever number it has" runs env PMIX_RANK=3 "$COPPICE" run "$folder/job.yaml"
check "and shows its results" grep -q 'wanda' "$folder/stdout"
