#!/usr/bin/env bash
# ranks.sh - the same job gives the same bytes on any number of ranks, with any number of threads and teams:
# statistics, activations, masks, weights, results, exported models.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq

# Every run works in the same place, so that even the paths in coppice.json must be equal.
# compare PROPAGATION RANKS [OPTIONS...]
compare() {
  local propagation=$1 n=$2 found
  shift 2
  rm -rf "$folder/run" "$folder/models"
  runs ranks "$n" run "$@" "$folder/$propagation.yaml" || return 1
  found=$(fingerprint)
  if [ -z "${wanted:-}" ]; then
    wanted=$found
    [ "$(echo "$wanted" | wc -l)" -ge 20 ] || { echo "too few files: $wanted"; return 1; }
  fi
  same "$wanted" "$found" && no_leftovers && no_unit_twice
}
# `check` runs its command in a subshell: the first run's hashes are taken before.
first() {
  wanted=
  compare "$@" || { echo "Bail out! the first run failed"; exit 1; }
}

# 5 sequences and 13 windows: no number of ranks divides them. Whole-matrix selection goes over all ranks' rows.
small_job "$folder/pruned.yaml" method=cvr group=layer pattern= keep_activations=true
first pruned 1
for n in 2 3 4 7; do
  check "pruned propagation, $n ranks" compare pruned "$n"
done
check "pruned propagation, 2 ranks of 2 threads" compare pruned 2 --threads 2

small_job "$folder/dense.yaml" method='[ria, wanda]' sparsity= propagation=dense
first dense 2
check "dense propagation, 1 rank of 2 threads" compare dense 1 --threads 2
check "dense propagation, 2 ranks in 2 teams" compare dense 2 --teams 2
check "dense propagation, 4 ranks in 3 teams" compare dense 4 --teams 3
