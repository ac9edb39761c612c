#!/usr/bin/env bash
# resume.sh - killed at chosen moments, the same command goes on by itself at another number of ranks: the same bytes,
# no temporary file left, no finished unit done again.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq

job=$folder/pruned.yaml
small_job "$job" method=wanda pattern=2:4 sparsity= sequences=8
undisturbed 2 "$job"
variant=wanda-2of4-columns-rows

check "one rank killed at the very start" strike "$job" 'run/lock*' 1 2 3
check "mpirun killed while the sequences are written" strike "$job" 'run/.sequences.h5.*' mpirun 2 1
check "all ranks killed while statistics are written" strike "$job" "run/statistics/$variant/.layer-001.h5.*" all 2 2
check "one rank killed while a mask is written" strike "$job" "run/masks/$variant/.layer-002.h5.*" 1 2 1
check "mpirun killed while weights are written" strike "$job" "run/weights/$variant/.layer-000.h5.*" mpirun 2 3
check "one rank killed once the oldest hidden states may go" strike "$job" "run/activations/$variant/layer-003.h5" 0 3 2
check "all ranks killed during the export" strike "$job" ".models.partial-*" all 2 1

job=$folder/dense.yaml
small_job "$job" method='[wanda, magnitude]' pattern= propagation=dense
undisturbed 1 "$job"
check "dense: one rank killed between hidden states and statistics" strike "$job" "run/activations/dense/layer-002.h5" 0 2 3
check "dense: one team's rank killed" strike "$job" "run/masks/*/.layer-003.h5.*" 3 4 2 --teams 2
