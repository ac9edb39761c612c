#!/usr/bin/env bash
# resume.sh - killed at chosen moments, the same command goes on by itself at another number of ranks: the same bytes,
# no temporary file left, no finished unit done again.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq

# strike MOMENT TARGET RANKS THEN [OPTIONS]: starts on RANKS ranks, kills TARGET (a rank's number, all, mpirun) when a
# file like MOMENT appears below $folder, and resumes on THEN ranks. Temporary files live for milliseconds and are looked
# for every few: one may be missed, and the program ends. Then it is started anew.
strike() {
  local moment=$1 target=$2 n=$3 then=$4 tries=0
  shift 4
  while :; do
    rm -rf "$folder/run" "$folder/models"
    start "$n" run "$@" "$job"
    await 60 exists_or_gone "$folder/$moment" || { echo "$moment never came"; return 1; }
    ! alive "$started" || kill_target "$target" || :
    finish_started || return 1
    [ "$code" = 0 ] || break
    tries=$((tries + 1))
    [ $tries -lt 10 ] || { echo "$moment was never seen in time"; cat "$folder/stderr"; return 1; }
  done
  # 137 is a killed program; a rank that loses the others may say so before mpirun ends it.
  [ "$code" = 137 ] || [ "$code" = 1 ] || { echo "exit code $code"; cat "$folder/stderr"; return 1; }
  runs ranks "$then" run "$@" "$job" && same "$wanted" "$(fingerprint)" && no_leftovers && no_unit_twice
}

job=$folder/pruned.yaml
small_job "$job" method=wanda pattern=2:4 sparsity= sequences=8
runs ranks 2 run "$job" || exit 1
wanted=$(fingerprint)
variant=wanda-2of4-columns-rows

check "one rank killed at the very start" strike 'run/lock*' 1 2 3
check "mpirun killed while the sequences are written" strike 'run/.sequences.h5.*' mpirun 2 1
check "all ranks killed while statistics are written" strike "run/statistics/$variant/.layer-001.h5.*" all 2 2
check "one rank killed while a mask is written" strike "run/masks/$variant/.layer-002.h5.*" 1 2 1
check "mpirun killed while weights are written" strike "run/weights/$variant/.layer-000.h5.*" mpirun 2 3
check "one rank killed once the oldest hidden states may go" strike "run/activations/$variant/layer-003.h5" 0 3 2
check "all ranks killed during the export" strike ".models.partial-*" all 2 1

job=$folder/dense.yaml
small_job "$job" method='[wanda, magnitude]' pattern= propagation=dense
rm -rf "$folder/run" "$folder/models"
runs ranks 1 run "$job" || exit 1
wanted=$(fingerprint)
check "dense: one rank killed between hidden states and statistics" strike "run/activations/dense/layer-002.h5" 0 2 3
check "dense: one team's rank killed" strike "run/masks/*/.layer-003.h5.*" 3 4 2 --teams 2
