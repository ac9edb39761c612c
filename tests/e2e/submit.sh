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

# ---- settings and names ------------------------------------------------------------------------------------

# The script is read by a shell that has a function for sbatch: nothing but words may come of it.
small_job "$folder/job.yaml" propagation=dense
odd="x \$(touch $folder/carried-out) \"y\" 'z' \`touch $folder/carried-out\`"
words() {
  local name=$folder/odd' "job" $(touch carried-out).yaml'
  cp "$folder/job.yaml" "$name"
  exits 0 slurm/submit.sh "$name" --dry-run --coppice "$COPPICE" --logs "$folder/l%s" --nodes 2 --partition "$odd" \
    --account "a[\$(touch $folder/carried-out)]" --environment "A='1 2' B=\$(touch $folder/carried-out)" \
    --sbatch-options "--comment 'two words' --exclude=n[1-2]" || return 1
  (sbatch() { printf '<%s>' "$@" >>"$folder/words"; echo 7; } && cd "$folder" && . ./stdout) || return 1
  for word in "<--partition=$odd>" "<--account=a[\$(touch $folder/carried-out)]>" "<--comment><two words><--exclude=n[1-2]>" \
    "<$name>" "<--output=$folder/l%%s/coppice-run-run-%j.log>" "<--job-name=run-run>"; do
    grep -qF -- "$word" "$folder/words" || { echo "no $word in"; cat "$folder/words"; return 1; }
  done
  [ -z "$(find "$folder" -name carried-out)" ] || { echo "carried out"; return 1; }
}
check "blanks, quotes and commands in names are names" words

# Lines that would be options or commands are part of the word, or refused in one line.
lines() {
  local setting odd=$'a\n#SBATCH --wrap=x\n'"touch $folder/carried-out"$'\n\e[31m'
  for setting in partition account qos constraint environment sbatch-options logs nodes time; do
    if slurm/submit.sh "$folder/job.yaml" --dry-run --coppice "$COPPICE" --logs "$folder" --nodes 2 "--$setting" "$odd" \
      >"$folder/stdout" 2>"$folder/stderr"; then
      (sbatch() { echo 7; } && cd "$folder" && . ./stdout) || return 1
    else
      same "$(wc -l <"$folder/stderr")" 1 || { cat "$folder/stderr"; return 1; }
    fi
    [ ! -e "$folder/carried-out" ] || { echo "carried out: $setting"; return 1; }
    ! grep -q $'\e' "$folder/stdout" "$folder/stderr" || { echo "escapes: $setting"; return 1; }
  done
}
check "lines in settings stay in their words" lines

# --set reaches the plan, and each command of each job, as the words that were given.
sets=(--set 'prune.method=[wanda, "magnitude"]' --set "run=$folder/it's here" --set=calibration.seed=8)
mkdir "$folder/fake"
printf '#!/bin/sh\nprintf "<%%s>" "$@" >>"%s"\nif [ "$1" = plan ]; then exec "%s" "$@"; fi\n' "$folder/called" "$COPPICE" >"$folder/fake/coppice"
printf '#!/bin/sh\nexec "$@"\n' >"$folder/fake/mpirun"
chmod +x "$folder/fake/coppice" "$folder/fake/mpirun"
handed=$(printf '<%s>' --set 'prune.method=[wanda, "magnitude"]' --set "run=$folder/it's here" --set calibration.seed=8)
# Carries out the jobs of a dry run on the spot, with a program that notes its words.
carry_out() {
  rm -f "$folder/called"
  exits 0 slurm/submit.sh "$folder/job.yaml" --dry-run --coppice "$folder/fake/coppice" --logs "$folder" --nodes 2 "${sets[@]}" "$@" ||
    return 1
  [ "$(grep -oF "$handed" "$folder/called" | wc -l)" = "$(grep -o "<plan>" "$folder/called" | wc -l)" ] || { cat "$folder/called"; return 1; }
  : >"$folder/called"
  (
    sbatch() {
      while [[ $1 != *.sbatch ]]; do shift; done
      echo 7
      SLURM_ARRAY_TASK_ID=3 bash "$@" >>"$folder/output" 2>&1
    }
    PATH=$folder/fake:$PATH && . "$folder/stdout"
  ) || { cat "$folder/output"; return 1; }
}
all_have() { # COUNT: so many calls, all of which were handed the words
  same "$(grep -oF "$handed" "$folder/called" | wc -l) $(grep -oE "<(plan|run|calibrate|score|compensate|evaluate|export)><" "$folder/called" | wc -l)" \
    "$1 $1" || { cat "$folder/called" "$folder/output"; return 1; }
}
check "--set for a chain" eval 'carry_out --chain && all_have 5'
check "--set for an array, whose plan has other variants" eval 'carry_out --array && all_have 5 &&
  grep -q "<--variant><magnitude-0.5-columns-rows>" "$folder/called"'
check "--set for one job" eval 'carry_out && all_have 1'
check "and by way of a plan in a job" eval '
  exits 0 slurm/submit.sh "$folder/job.yaml" --dry-run --coppice "$folder/nowhere" --logs "$folder" "${sets[@]}" &&
  (sbatch() { printf "<%s>" "$@" >"$folder/words"; } && . "$folder/stdout") >/dev/null && grep -qF "$handed" "$folder/words"'
check "--set without a key is refused" eval 'exits 2 slurm/submit.sh "$folder/job.yaml" --dry-run --set seed && grep -q "needs KEY=VALUE" "$folder/stderr"'

says_setting() { grep -q -e "$1" "$folder/stdout" || { cat "$folder/stdout"; return 1; }; }
printf 'time=4h\nmail=me@example.org\n' >"$folder/mine"
mkdir -p "$folder/config/coppice"
printf 'time=1d2h30m\npartition=usual\n' >"$folder/config/coppice/slurm.conf"
check "settings of COPPICE_SLURM_SETTINGS" eval 'COPPICE_SLURM_SETTINGS=$folder/mine submits && says_setting " --time=240 " &&
  says_setting "--mail-user=me@example.org --mail-type=END" && COPPICE_SLURM_SETTINGS=$folder/mine submits --time 90m && says_setting " --time=90 "'
check "else of the usual place" eval 'XDG_CONFIG_HOME=$folder/config submits && says_setting " --time=1590 .*--partition=usual"'
check "several variants in a task" eval 'submits --array --variants-per-task 3 && says_setting "^export COPPICE_VARIANTS_PER_TASK=3" && says_setting "--array=1-2 "'
check "coppice that does not run here is planned with in a job" eval '
  exits 0 slurm/submit.sh "$folder/job.yaml" --dry-run --array --coppice "$folder/nowhere" --logs "$folder" &&
  same "$(grep -c _id= "$folder/stdout")" 1 && says_setting "plan.sbatch $folder/job.yaml .*--coppice=$folder/nowhere.* --array"'
mkdir "$folder/bin" && printf '#!/bin/sh\nshift 4\nexec "$@"\n' >"$folder/bin/apptainer" && chmod +x "$folder/bin/apptainer"
touch "$folder/an image.sif"
check "so is an image, here" eval 'PATH=$folder/bin:$PATH exits 0 slurm/submit.sh "$folder/job.yaml" --dry-run --logs "$folder" \
  --container "$folder/an image.sif" --bind /data,/scratch --coppice "$COPPICE" && says_setting "COPPICE_BIND=/data"' # exec --bind DIRS IMAGE
check "--time 4x by what was given" eval 'exits 2 slurm/submit.sh "$folder/job.yaml" --dry-run --time 4x && grep -q "time is .4x.;" "$folder/stderr"'
for wrong in "time 4x" "nodes a[0]" "mem lots" "launcher ssh" "signal -1" "environment A='b" "nosuch 1" 'x[$(touch /)] 1'; do
  check "--$wrong is refused" eval 'exits 2 slurm/submit.sh "$folder/job.yaml" --dry-run --coppice "$COPPICE" "--${wrong%% *}" "${wrong#* }" &&
    grep -q "^submit.sh: .*${wrong%%[[ ]*}" "$folder/stderr"'
done
