#!/usr/bin/env bash
# progress.sh - what a person sees of a run: a bar on a terminal, also under mpirun, lines in a log; every team speaks, the
# percentage never goes back, and an error is the last line. Settings of the command line stand over the job file.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq
need script

small_job "$folder/job.yaml" method=ria pattern= output= energy='[]' sequences=4 length=32 evaluate_length=32
shares() { grep -o '[0-9]*\.[0-9] %' | tr -d ' %'; }
# climbs FILE: percentages from 0 to 100, none less than the one before.
climbs() {
  shares <"$1" >"$folder/shares"
  [ "$(wc -l <"$folder/shares")" -ge 4 ] && [ "$(head -n 1 "$folder/shares")" = 0.0 ] && [ "$(tail -n 1 "$folder/shares")" = 100.0 ] &&
    sort -n -c "$folder/shares" || { cat -v "$1"; return 1; }
}

# Three ranks in two teams, with a method that the job file does not have.
set_options=(--set 'prune.method=[wanda, magnitude]' --set calibration.seed=8)
on_a_terminal() {
  TERM=xterm watched script -qec "mpirun -n 3 '$COPPICE' run --teams 2 --set 'prune.method=[wanda, magnitude]' --set calibration.seed=8 '$folder/job.yaml'" \
    /dev/null </dev/null >"$folder/seen"
}
check "a run under mpirun on a terminal" on_a_terminal
check "has a bar" grep -q $'\r.* \[#*  *\]  *[0-9.]* %' "$folder/seen"
check "that climbs to the end" climbs "$folder/seen"
clear=$'\r\033\[K'
check "every team speaks, and clears it first" eval \
  'for v in dense wanda-0.5 magnitude-0.5; do grep -q "$clear$v: perplexity" "$folder/seen" || { cat -v "$folder/seen"; exit 1; }; done'
check "the settings are on record" same "8 wanda,magnitude" \
  "$(jq -r '"\(.job.calibration.seed) \([.job.variants[].method] | join(","))"' "$folder/run/run.json")"
check "and contradict the job without them" eval 'exits 2 alone run "$folder/job.yaml" && one_line "contradicts the job"'

check "another start finds all done" runs alone run "${set_options[@]}" "$folder/job.yaml"

rm -rf "$folder/run"
check "a run without a terminal" runs ranks 3 run --teams 2 "${set_options[@]}" "$folder/job.yaml"
check "has lines that climb" climbs "$folder/stderr"
check "one for every stage" eval \
  'for s in evaluate calibrate score propagate; do grep -q "left  $s" "$folder/stderr" || { echo "$s"; cat "$folder/stderr"; exit 1; }; done'
check "and no bar" not grep -q $'\r' "$folder/stderr"
left=$("$COPPICE" plan --json "${set_options[@]}" "$folder/job.yaml" | jq -c '[.stages[] | .units - .done] | add')
check "plan finds nothing left" same 0 "$left"

# What the plan counts is what the stages count; tests/plan_time.sh compares more, and times.
plan() { "$COPPICE" plan --json "${set_options[@]}" "$folder/job.yaml" | jq "$1"; }
counted() { jq -s 'map(select(.event == "unit") | .work) | add' "$folder/run/log.jsonl"; }
check "the stages counted the work that was planned" near "$(counted)" "$(plan .work)" 0.25
rm "$folder/run/results/dense/perplexity.json" # the first unit
check "of a run that lacks a result this is left" near "$(plan .left.work)" "$(plan '.stages.evaluate.work / 3')" 1e-9
check "and takes some of the time" same true "$(plan '.left.seconds > 0 and .left.seconds < .seconds')"
begins_at_what_is_done() {
  local share
  share=$(plan '(1 - .left.work / .work) * 100')
  runs ranks 3 run --teams 2 "${set_options[@]}" "$folder/job.yaml" && shares <"$folder/stderr" >"$folder/shares" &&
    awk -v a="$share" 'NR == 1 && $1 < a - 0.1 { exit 1 } END { exit $1 != 100 }' "$folder/shares" || { cat "$folder/stderr"; return 1; }
}
check "and goes on from the share that is done" begins_at_what_is_done
check "the first line says how long it takes, by what was measured before" not grep -q -- '--:--:--' "$folder/stderr"

# A weight that is not a number: the error comes after whatever the bar has shown.
cp -r jobs/demo/kjv-llama-1m "$folder/model"
printf '\300\177' | dd of="$folder/model/model.safetensors" bs=1 seek=$(($(stat -c %s "$folder/model/model.safetensors") - 2)) \
  conv=notrunc status=none
on_failure() {
  TERM=xterm watched script -qec "mpirun $quiet_option -n 2 '$COPPICE' run --set model='$folder/model' --set run='$folder/other' '$folder/job.yaml'" \
    /dev/null </dev/null >"$folder/seen"
}
check "a run that fails" not on_failure
check "its error is the last line" eval 'without_launcher_lines <"$folder/seen" | tail -n 1 | grep -q "^coppice: .*NaN" || { cat -v "$folder/seen"; exit 1; }'
