#!/usr/bin/env bash
# status.sh - `coppice status` needs a run directory and nothing else: no launcher, no model; it says what is done, who
# works on what, and how long is left.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq

status() { alone status --json "$folder/run"; }
says() { status | jq -e "$1" || { status; return 1; }; }

cp -r jobs/demo/kjv-llama-1m "$folder/model"
small_job "$folder/job.yaml" model="$folder/model" method='[wanda, ria]' sparsity='[0.5, 0.6]' propagation=dense output=
check "a folder that is no run is refused" exits 2 alone status "$folder"
says_which() { exits 2 "${@:2}" && one_line "$1"; }
check "so is a job file, which is told apart" says_which "job.yaml: is a file, and coppice status takes a run directory" alone status "$folder/job.yaml"

# Frozen in the middle, so that the look is at a program at work: when it is caught between two units, once more.
to_both() { for rank in 0 1; do kill "-$1" "$(rank_pid $rank)"; done; }
freeze() {
  local try
  for try in {1..20}; do
    to_both STOP
    if status | jq -e '.programs[0].units | length > 0' >/dev/null; then return; fi
    to_both CONT
    sleep 0.02
  done
  to_both STOP
}
start 2 run --progress none --teams 2 "$folder/job.yaml"
await 60 exists "$folder/run/masks/ria-0.6-columns-rows/layer-000.h5"
freeze
mv "$folder/model" "$folder/moved"
check "a program that works is seen, with its ranks" says \
  '.running and .ranks == 2 and (.programs | length) == 1 and .programs[0].state == "works" and .programs[0].ranks == 2'
check "and its process and host" says ".programs[0] | .pid == $(rank_pid 0) and .host == \"$(uname -n)\""
check "and the variants that it holds" says '.programs[0].variants | length == 7'
check "and what its teams do" says '.programs[0].units | length >= 1 and all(.node and .seconds >= 0 and .team < 2)'
check "some is done, some is not, and the rest takes time" says '.done > 0 and .done < .all and .seconds_left > 0'
check "the summary comes first" bash -c "'$COPPICE' status '$folder/run' | head -n 1 | grep -qE '^[0-9]+ of [0-9]+ units done, .*left'"
check "the same as a table" bash -c "'$COPPICE' status '$folder/run' | grep -E 'left, at the measured rates of 2 ranks'"

to_both KILL
finish_started
check "a program that was killed is seen to be gone" says '.running == false and .programs[0].state == "gone"'
mv "$folder/moved" "$folder/model"
check "the job goes on" runs ranks 2 run --teams 2 "$folder/job.yaml"
check "what --set gives is not the job file's mistake" says_which "coppice: --set model: $folder/gone: No such file" alone run --set model="$folder/gone" "$folder/job.yaml"
check "more teams than ranks are refused" says_which "--teams 3: a team has at least one rank, and there are 2" two_quiet_ranks run --teams 3 "$folder/job.yaml"
mv "$folder/model" "$folder/moved"
before=$(fingerprint)
check "a run directory is no job file" says_which "coppice status $folder/run says how far it is" alone run "$folder/run"
check "and is complete, without the model" says '.complete and .done == .all and .seconds_left == 0 and .programs == []'
check "every unit was begun before it was done" same "$(logged_units | sort)" \
  "$(jq -R -r 'fromjson? | select(.event == "begin") | "\(.stage) \(.variant) \(.layer)"' "$folder/run/log.jsonl" |
    sort -u | grep -Fxf <(logged_units))"
check "nothing is changed by looking" same "$before" "$(fingerprint)"
