#!/usr/bin/env bash
# threads.sh - the same job gives the same bytes with any number of threads.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq

# As in ranks.sh, but smaller.
small_job "$folder/pruned.yaml" method=cvr group=layer pattern= keep_activations=true sequences=2 length=32 perplexity=
undisturbed 1 "$folder/pruned.yaml"
check "pruned propagation, 2 ranks of 2 threads" again 2 "$folder/pruned.yaml" --threads 2
check "more threads than cores are said" eval '
  cores=$(getconf _NPROCESSORS_ONLN); rm -rf "$folder/run" "$folder/models"
  start 1 run --threads $((cores + 1)) "$folder/pruned.yaml" # which would take its time
  await 20 grep -q "^coppice: careful: 1 rank of $((cores + 1)) threads on $cores core" "$folder/stderr"; said=$?
  kill_target all; finish_started; same $said 0'

small_job "$folder/dense.yaml" method='[ria, wanda]' sparsity= propagation=dense sequences=2 length=32
undisturbed 2 "$folder/dense.yaml"
check "dense propagation, 1 rank of 2 threads" again 1 "$folder/dense.yaml" --threads 2
