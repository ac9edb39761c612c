#!/usr/bin/env bash
# moved.sh - exit code 0 means that everything is there, and is what was asked for: not when the run directory was moved away
# under the program, not when standard output could not be written, and not with results of another text where run.json is gone.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# moved_at FILE: the run directory is moved away as soon as it has FILE.
small_job "$folder/job.yaml" method=wanda pattern= sequences=8
variant=wanda-0.5-columns-rows
moved_at() {
  rm -rf "$folder/run" "$folder/models" "$folder/moved"
  start 2 run --progress none "$folder/job.yaml"
  await 60 exists_or_gone "$folder/run/$1" && alive "$started" || { cat "$folder/stderr"; return 1; }
  mv "$folder/run" "$folder/moved"
  finish_started || return 1
  [ "$code" = 1 ] && grep -q '^coppice: ' "$folder/stderr" || { echo "exit code $code"; cat "$folder/stderr"; return 1; }
  rm -rf "$folder/models" "$folder"/.models*
}
for file in sequences.h5 "statistics/$variant/layer-000.h5" "masks/$variant/layer-000.h5" "masks/$variant/layer-002.h5"; do
  check "moved away once there is $file" moved_at "$file"
done

# The output is removed while it is written: the program is suspended before it names the first file in it.
stopped() { grep -q '^State:.T' "/proc/$(rank_pid 0)/status"; }
output_removed() {
  rm -rf "$folder/run" "$folder/models"
  STOP="$folder/.models.partial-*/*" start 1 run --progress none "$folder/job.yaml"
  await 60 stopped && rm -r "$folder"/.models.partial-* && kill -CONT "$(rank_pid 0)" && finish_started || return 1
  [ "$code" = 1 ] && [ "$(grep -c '^coppice: ' "$folder/stderr")" = 1 ] && [ ! -e "$folder/models" ] || { cat "$folder/stderr"; return 1; }
  runs alone run --progress none "$folder/job.yaml" && [ -s "$folder/models/model.safetensors" ]
}
! can_interpose || check "the output is removed while it is written, and made by the next start" output_removed

# ---- standard output ------------------------------------------------------------------------------------

can_interpose || { rm -rf "$folder/run" "$folder/models"; check "a run" runs alone run --progress none "$folder/job.yaml"; }
closed() { alone "$@" >&-; }
full() { alone "$@" >/dev/full; }
for how in closed full; do
  lost() { exits 1 "$how" "$@" && grep -q "^coppice: standard output: " "$folder/stderr"; }
  check "standard output is $how: run" lost run --progress none "$folder/job.yaml"
  while read -r arguments; do
    # shellcheck disable=SC2086
    check "standard output is $how: ${arguments//$folder/}" lost $arguments
  done <<END
plan $folder/job.yaml
plan --json $folder/job.yaml
status $folder/run
status --json $folder/run
verify $folder/run
verify --json $folder/run
diagnose --json $folder/run
results $folder/run
results --json $folder/run
report $folder/run
report --json $folder/run
compare $folder/run $folder/run
compare --json $folder/run $folder/run
--help
--version
run --help
help keys
help man
help bash
END
done

# ---- run.json is gone -----------------------------------------------------------------------------------

# Model, calibration and seed are the same: only the results are of another text, length or number of examples.
task() { echo "  tasks: [{data: $COPPICE_SOURCE/tests/golden/tasks/ARC-Easy-Test.jsonl, limit: $1}]"; }
job_with() { # EXAMPLES KEY=VALUE...
  small_job "$folder/job.yaml" method=wanda pattern= sequences=8 output= "${@:2}"
  sed -i 's/^evaluate: {perplexity: \(.*\), length: \(.*\)}/evaluate:\n  perplexity: \1\n  length: \2/' "$folder/job.yaml"
  task "$1" >>"$folder/job.yaml"
}
head -n 2 jobs/demo/test.jsonl | tail -n 1 >"$folder/other.jsonl"
cp "$folder/test.jsonl" "$folder/copy.jsonl"
job_with 2
check "a task besides" runs alone run --progress none "$folder/job.yaml"
rm "$folder/run/run.json"
not_taken() { # FILE EXAMPLES KEY=VALUE...
  job_with "${@:2}"
  exits 2 alone plan "$folder/job.yaml" && one_line "$folder/run/results/dense/$1: was measured on another text or task" "run.json is gone"
}
check "results of another text are not taken over" not_taken perplexity.json 2 perplexity="$folder/other.jsonl"
check "nor are those of another length" not_taken perplexity.json 2 evaluate_length=65
check "nor are those of fewer examples" not_taken "tasks/ARC-Easy-Test.json" 1
anew() {
  job_with 2 perplexity="$folder/copy.jsonl" # the same text under another name
  runs alone run --progress none "$folder/job.yaml" && runs alone verify "$folder/run" && no_unit_twice
}
check "those of the same text and task are" anew
put() {
  cp "$folder/run/results/dense/perplexity.json" "$folder/kept"
  cp "$1" "$folder/run/results/dense/perplexity.json"
}
another_variants() {
  put "$folder/run/results/$variant/perplexity.json"
  exits 2 alone run --progress none "$folder/job.yaml" && grep -q "dense/perplexity.json: is the file results/[^ ]* of a run under another name" "$folder/stderr" &&
    exits 2 alone plan "$folder/job.yaml" && cp "$folder/kept" "$folder/run/results/dense/perplexity.json"
}
check "the result of another variant" another_variants
foreign() {
  small_job "$folder/other.yaml" run="$folder/other" method=wanda pattern= sequences=8 output= perplexity="$folder/other.jsonl"
  runs alone run --progress none "$folder/other.yaml"
  put "$folder/other/results/dense/perplexity.json"
  exits 2 alone verify "$folder/run" && grep -q 'was measured on another text.*it is not of this run' "$folder/stderr"
}
check "verify sees a result that came from another run" foreign
