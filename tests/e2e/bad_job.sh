#!/usr/bin/env bash
# bad_job.sh - a wrong job file is refused with exit code 2 and one line that names file, line and key, before
# anything is made.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# mpirun would wait two seconds for ranks that have ended by themselves, at every refusal.
export "$kill_at_once"

# bad NAME WORDS [KEY=VALUE...]: the small job with these keys is refused; WORDS are separated by |.
bad() {
  local name=$1 words
  IFS='|' read -r -a words <<<"$2"
  shift 2
  small_job "$folder/job.yaml" "$@"
  check "$name" refused 2 "${words[@]}"
}
# wrong NAME WORDS SED: the small job edited.
wrong() {
  local words
  IFS='|' read -r -a words <<<"$2"
  small_job "$folder/job.yaml"
  sed -i "$3" "$folder/job.yaml"
  check "$1" refused 2 "${words[@]}"
}
job=$folder/job.yaml

wrong "an unknown key" "$job:|sparsty|sparsity" 's/sparsity:/sparsty:/'
wrong "an unknown section" "$job:|calibrations" 's/calibration:/calibrations:/'
wrong "a key twice" "$job:|method" 's/^  group:.*/  method: ria/'
wrong "a missing key" "$job|calibration.corpus" 's/corpus: [^,]*, //'
wrong "not YAML" "$job:" 's/^prune:/prune: ][/'
bad "a text for a number" "$job:|calibration.sequences|many" sequences=many
bad "a number for a list" "$job:|compensate.clamp" clamp=3
bad "a list where one value is expected" "$job:|calibration.seed" seed='[1, 2]'
bad "sparsity above 1" "$job:|prune.sparsity|1.5" sparsity=1.5
bad "sparsity below 0, in a list" "$job:|prune.sparsity|-0.1" sparsity='[0.5, -0.1]'
bad "neither sparsity nor pattern" "$job|prune.sparsity|prune.pattern" sparsity= pattern=
bad "a pattern that keeps more than there are" "$job:|prune.pattern|4:2" pattern=4:2
bad "a pattern wider than 32" "$job:|prune.pattern|2:64" pattern=2:64
bad "2:5, which divides no width of this model" "2:5|layers.0.self_attn.q_proj|128|5" pattern=2:5 sparsity=
bad "an unknown method" "$job:|prune.method|wonda|wanda" method=wonda
bad "an unknown direction" "$job:|compensate.energy|diagonals" energy='[diagonals]'
bad "a clamp upside down" "$job:|compensate.clamp" clamp='[10, 0.1]'
bad "an unknown propagation" "$job:|prune.propagation" propagation=sparse
bad "no sequences" "$job:|calibration.sequences|0" sequences=0
bad "a model that is not there" "model|$folder/nowhere" model="$folder/nowhere"
bad "a corpus that is not there" "calibration.corpus|$folder/nowhere.txt" corpus="$folder/nowhere.txt"
bad "an evaluation text that is not there" "evaluate.perplexity|$folder/nowhere.txt" perplexity="$folder/nowhere.txt"
for pattern in model.layers.0.mlp.down_proj down_proj 're:.*down_proj' layers.4.*; do
  bad "a pattern of skip that fits nothing: $pattern" "$job:12: prune.skip: '$pattern' fits no linear" skip="[mlp.up_proj, \"$pattern\"]"
done
bad "an output in the run directory" "$job: output|$folder/run/out|lies in it" output="$folder/run/out"
bad "the run directory in the output" "$job: output|$folder/models/run|lies in it" run="$folder/models/run"
bad "an output that is the model" "$job: output|is the model" output="$COPPICE_SOURCE/jobs/../jobs/demo/kjv-llama-1m"
plan_refuses() { exits 2 alone plan "$job" && one_line "$job" output "is the model"; }
check "plan says so, too" plan_refuses

small_job "$folder/there.yaml"
check "a job file that is not there" eval 'rm -f "$folder/job.yaml"; refused 2 "$folder/job.yaml"'

# An output that exists and is somebody else's is neither written nor touched. Several variants have a folder each.
small_job "$folder/job.yaml" method=magnitude pattern=
mkdir "$folder/models" && echo precious >"$folder/models/file"
output_exists() {
  exits 2 alone run "$folder/job.yaml" && one_line "$folder/job.yaml" output "$folder/models" &&
    exits 2 two_quiet_ranks run "$folder/job.yaml" && one_line output &&
    same "$(ls -A "$folder/models"; cat "$folder/models/file")" "file
precious" && [ ! -e "$folder/run" ]
}
check "an output that exists" output_exists
rm -r "$folder/models" "$folder/run" 2>/dev/null

# ---- the command line -----------------------------------------------------------------------------------

usage() { exits 2 alone "$@" && one_line && nothing_made; }
check "no command" usage
check "an unknown command" usage rnu "$job"
check "an unknown option" usage run --fast "$job"
check "no job" usage run
check "a signal that cannot be the stop signal" usage run --stop-signal KILL "$job"
check "a time limit that is no time" usage run --max-time soon "$job"
check "status of what is no run directory" usage status "$folder"
check "verify of what is no run directory" usage verify "$folder"

helps() {
  local command
  for command in plan run calibrate score compensate export evaluate status verify; do
    runs alone "$command" --help && grep -q "coppice $command" "$folder/stdout" || { echo "$command"; return 1; }
    runs alone --help && grep -q "^ *$command " "$folder/stdout" || { echo "$command in --help"; return 1; }
  done
}
check "--help of the program and of every command" helps
