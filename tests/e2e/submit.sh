#!/bin/bash
# submit.sh - what slurm/submit.sh would submit: every command that has work, in its order, each after the one before.
# Needs no Slurm; tests/slurm/run.sh submits to a real one.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need awk
task=$COPPICE_SOURCE/tests/golden/tasks/boolq.jsonl

# submits OPTION...: the script that a dry run prints, in $folder/stdout.
submits() {
  exits 0 slurm/submit.sh "$folder/job.yaml" --dry-run --coppice "$COPPICE" --logs "$folder" --nodes 2 "$@"
}
# jobs: a line for each job: its name, what it waits for, and the words after the job file.
jobs() {
  sed -n 's/^\([a-z]*\)_id=\$(sbatch .*/& /p' "$folder/stdout" | while read -r line; do
    name=${line%%_id=*} after=
    [[ $line != *--dependency=afterok:* ]] || { after=${line#*--dependency=afterok:\$} after=${after%%_id*}; }
    words=${line##*job.yaml} words=${words%)*}
    echo "$name < ${after:-nothing}:${words//\\/}"
  done
}

small_job "$folder/job.yaml" propagation=dense
check "--chain" submits --chain
check "one job for each command, one after the other" same "calibrate < nothing: calibrate
score < calibrate: score
compensate < score: compensate
evaluate < compensate: evaluate
export < evaluate: export" "$(jobs)"
check "--array" submits --array
check "what is shared, the variants, the table" same "shared < nothing: calibrate --variant dense evaluate --variant dense
sweep < shared:
table < sweep: evaluate" "$(jobs)"
check "four array tasks" grep -q -e '--array=1-4 ' "$folder/stdout"
check "neither" submits
check "is one job for everything" same "run < nothing:" "$(jobs)"

# ---- tasks are evaluated, too, where there is no text for a perplexity -----------------------------------

small_job "$folder/job.yaml" propagation=dense perplexity= output=
echo "evaluate: {tasks: [$task]}" >>"$folder/job.yaml"
check "--chain with tasks alone" submits --chain
check "evaluates at its end" same "calibrate < nothing: calibrate
score < calibrate: score
compensate < score: compensate
evaluate < compensate: evaluate" "$(jobs)"
check "--array with tasks alone" submits --array
check "evaluates the dense model, and prints the table" same "shared < nothing: calibrate --variant dense evaluate --variant dense
sweep < shared:
table < sweep: evaluate" "$(jobs)"

# ---- what has no work has no job -------------------------------------------------------------------------

small_job "$folder/job.yaml" propagation=dense perplexity= output= energy='[]' compensate=', keep_weights: false'
check "masks alone" submits --chain
check "are two jobs" same "calibrate < nothing: calibrate
score < calibrate: score" "$(jobs)"
check "as an array" submits --array
check "without a table" same "shared < nothing: calibrate --variant dense
sweep < shared:" "$(jobs)"

small_job "$folder/job.yaml" propagation=pruned
check "pruned propagation as a chain" submits --chain
check "is one job, because the stages take turns" same "run < nothing:" "$(jobs)"
