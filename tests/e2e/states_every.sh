#!/usr/bin/env bash
# states_every.sh - hidden states that stay in memory between layers: the same models as with files after every layer,
# also when the run is killed or stopped and goes on, at another number of ranks.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq

# The key changes nothing that is made: hashes of the models and the perplexities.
results() {
  (cd "$folder/models" && find . -name '*.safetensors' | sort | xargs sha256sum)
  for file in "$folder"/run/results/*/perplexity.json; do echo "${file#"$folder"/run/} $(jq .perplexity "$file")"; done
}
states() { find "$folder/run/activations" -name '*.h5' 2>/dev/null | wc -l; }
in_memory() { same "$wanted_results" "$(results)" && [ "$(states)" = 0 ] || { echo "$(states) files of states"; return 1; }; }
fresh() { rm -rf "$folder/run" "$folder/models"; }
# slowly RANKS ARGUMENTS: started with half a second before each mask, so that no machine ends the job before it is struck.
slowly() { FAULT_PAUSE_FOR=0.5 PAUSE='*/masks/*' start "$@"; }
# killed JOB MOMENT RANKS THEN: all ranks are killed when the file appears; then the job goes on.
killed() {
  fresh
  slowly "$3" run "$1"
  await 60 exists_or_gone "$folder/$2" || { echo "$2 never came"; return 1; }
  ! alive "$started" || kill_target all || :
  finish_started || return 1
  [ "$code" != 0 ] || { echo "it ended before"; return 1; }
  runs ranks "$4" run "$1" && in_memory && no_leftovers
}

for kind in "wanda [columns]" "alps []"; do
  method=${kind% *} plain=$folder/plain.yaml job=$folder/job.yaml
  small_job "$plain" method="$method" pattern= energy="${kind#* }"
  small_job "$job" method="$method" pattern= energy="${kind#* }" states_every=1000000
  fresh
  runs ranks 2 run "$plain" || { cat "$folder/stderr"; echo "Bail out!"; exit 1; }
  wanted_results=$(results)
  check "$method: files after every layer" [ "$(states)" -gt 0 ]
  for ranks in 1 3; do
    fresh
    check "$method, $ranks ranks: no file of states, the same model" eval 'runs ranks $ranks run "$job" && in_memory'
    check "$method, $ranks ranks: nothing is left to do" eval 'runs ranks $ranks run "$job" && in_memory && no_unit_twice'
  done
  variant=$(basename "$(dirname "$(ls "$folder"/run/results/"$method"*/perplexity.json)")")
  check "$method: killed when the third layer has its mask" killed "$job" "run/masks/$variant/layer-002.h5" 2 3
  check "$method: killed when the first layer has" killed "$job" "run/masks/$variant/layer-000.h5" 3 1
done

# Told to stop, it writes what it has in memory; what goes on begins there.
stopped() {
  fresh
  slowly 2 run "$folder/job.yaml"
  await 60 exists_or_gone "$folder/run/masks/$variant/layer-002.h5" || return 1
  kill -USR1 "$(rank_pid 1)" || return 1
  finish_started || return 1
  same "$code $(states)" "75 1" && runs ranks 3 run "$folder/job.yaml" && same "$wanted_results" "$(results)" && no_leftovers
}
small_job "$folder/plain.yaml" method=wanda pattern= energy='[columns]' sequences=8
small_job "$folder/job.yaml" method=wanda pattern= energy='[columns]' sequences=8 states_every=1000000
variant=wanda-0.5-columns
fresh
runs ranks 2 run "$folder/plain.yaml"
wanted_results=$(results)
if can_interpose; then check "what is in memory is written when the run is told to stop" stopped; fi
# Commands for a stage each leave in files what the next one reads.
by_stages() {
  fresh
  local command
  for command in calibrate score; do runs ranks 2 "$command" "$folder/dense.yaml" || return 1; done
  [ "$(states)" -gt 0 ]
}
small_job "$folder/dense.yaml" method=wanda pattern= propagation=dense output= perplexity= energy='[]' states_every=1000000
check "commands for single stages write states after every layer" by_stages

# Written again from one start to the next: the key may change, and what files there are, are used.
small_job "$folder/plain.yaml" method=wanda pattern=
small_job "$folder/job.yaml" method=wanda pattern= states_every=1000000
fresh
runs ranks 2 run "$folder/plain.yaml"
wanted_results=$(results)
changed() {
  fresh
  slowly 2 run "$folder/plain.yaml"
  await 60 exists_or_gone "$folder/run/activations/wanda-0.5-columns-rows/layer-002.h5" || return 1
  ! alive "$started" || kill_target all || :
  finish_started || return 1
  [ "$code" != 0 ] && runs ranks 2 run "$folder/job.yaml" && same "$wanted_results" "$(results)" && no_leftovers
}
check "a run that had files goes on without" changed

# Of all layers, where the job keeps them.
small_job "$folder/job.yaml" method=wanda pattern= states_every=1000000 keep_activations=true
fresh
check "activations that are kept are written all the same" eval 'runs ranks 2 run "$folder/job.yaml" && [ "$(states)" = 3 ]'
