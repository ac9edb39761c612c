#!/bin/bash
# submit.sh - submits a coppice job to Slurm, with the nodes, memory and time that `coppice plan` says it needs.
# `submit.sh --help` explains; settings.example lists the settings.
set -euo pipefail
self=$(readlink -f "${BASH_SOURCE[0]}")
here=$(dirname "$self")
unset CDPATH

usage() {
  cat <<TEXT
usage: submit.sh JOB [--chain | --array] [--dry-run] [--set KEY=VALUE ...] [--settings FILE] [--SETTING VALUE ...]

  (nothing)      one Slurm job that does everything
  --chain        one job per command that has work, each starting when the one before has succeeded
  --array        a sweep: one job for what all variants share, array tasks for the variants, one job for the table at the end
  --dry-run      print the sbatch commands and submit nothing; the output is a script that would do it. Where there is a
                 Slurm it is asked whether it would take them
  --plan-in-job  let a first, small job make the plan and submit the rest: for login nodes on which coppice does not run.
                 That is also done when coppice is not found here
  --set KEY=VALUE
                 a key of the job file, as coppice takes it: of the plan and of all jobs; may be given several times
  --settings F   your settings (see below)
  --SETTING VALUE
                 any of the settings: $(printf '%s\n' "${!setting[@]}" | sort | xargs | fold -s -w 80 | sed '2,$s/^/                 /')

Settings are lines KEY=VALUE; settings.example explains them. The site's are in the file "settings" next to submit.sh. Yours
win: FILE, else the one that COPPICE_SLURM_SETTINGS names, else ${XDG_CONFIG_HOME:-~/.config}/coppice/slurm.conf. Options win
over both. Jobs stop in good order before their time limit, requeue themselves and go on.
TEXT
}

# A setting that is named in a message may hold anything; the message is one line that no terminal acts on.
die() {
  local text="submit.sh: $*"
  printf '%s\n' "${text//[[:cntrl:]]/?}" >&2
  exit 2
}

# ---- settings: the files, then the command line --------------------------------------------------------------

declare -A setting=(
  [partition]="" [account]="" [qos]="" [constraint]="" [nodes]="" [ntasks-per-node]="" [cpus-per-task]="" [mem]="" [time]=""
  [coppice]="" [modules]="" [container]="" [bind]="" [launcher]="" [launcher-options]="" [environment]="" [logs]=.
  [signal]="" [max-requeues]=20 [max-failures]=3 [concurrent]="" [variants-per-task]="" [mail]="" [no-check]=""
  [sbatch-options]="")

# A name from outside is looked up so, and not with -v or in arithmetic, which would carry out what is in it.
is_setting() { [[ $1 =~ ^[a-z-]+$ && -n ${setting[$1]+yes} ]]; }

read_settings() {
  local file=$1 line key number=0
  [ -r "$file" ] || die "$file cannot be read"
  while IFS= read -r line || [ -n "$line" ]; do
    number=$((number + 1))
    case $line in '' | \#*) continue ;; esac
    key=${line%%=*}
    [[ -n $key && $line == *=* ]] && is_setting "$key" || die "$file, line $number: no such setting: $line"
    setting[$key]=${line#*=}
  done <"$file"
}

# Yours; empty where there are none.
settings_file() {
  local usual=${XDG_CONFIG_HOME:-${HOME:-}/.config}/coppice/slurm.conf
  if [ -n "${COPPICE_SLURM_SETTINGS:-}" ]; then
    echo "$COPPICE_SLURM_SETTINGS"
  elif [ -e "$usual" ]; then
    echo "$usual"
  fi
}

# For the plan as words, for the jobs as text that split_words of supervise.sh takes apart.
add_set() {
  [[ $1 =~ ^[^=[:space:]]+= ]] || die "--set needs KEY=VALUE"
  [[ $1 != *$'\n'* ]] || die "--set ${1%%=*}: a value of several lines belongs into the job file"
  sets+=(--set "$1")
  sets_text+="${sets_text:+ }'${1//\'/\'\"\'\"\'}'"
}

parse_arguments() {
  local file='' key
  local -A given=()
  job='' mode=run dry=no elsewhere=no
  while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) usage && exit 0 ;;
    --chain | --array) mode=${1#--} ;;
    --dry-run) dry=yes ;;
    --plan-in-job) elsewhere=yes ;;
    --set) add_set "${2-}" && shift ;;
    --set=*) add_set "${1#*=}" ;;
    --settings) file=${2:?--settings needs a file} && shift ;;
    --settings=*) file=${1#*=} ;;
    --?*=*)
      key=${1%%=*}
      is_setting "${key#--}" || die "no such option: $key"
      given[${key#--}]=${1#*=}
      ;;
    --?*)
      is_setting "${1#--}" || die "no such option: $1"
      [ $# -ge 2 ] || die "$1 needs a value"
      given[${1#--}]=$2
      shift
      ;;
    *)
      [ -z "$job" ] || die "one job file at a time: $job, $1"
      job=$1
      ;;
    esac
    shift
  done
  [ -n "$job" ] || { usage >&2; exit 2; }
  [ -r "$job" ] || die "$job cannot be read"
  if [ -r "$here/settings" ]; then read_settings "$here/settings"; fi
  [ -n "$file" ] || file=$(settings_file)
  if [ -n "$file" ]; then read_settings "$file"; fi
  for key in "${!given[@]}"; do setting[$key]=${given[$key]}; done
}

# Numbers go into arithmetic below; what Slurm alone would refuse is refused here.
check_settings() {
  local key value time=''
  for key in nodes ntasks-per-node cpus-per-task signal concurrent variants-per-task; do
    value=${setting[$key]}
    [[ $value =~ ^([1-9][0-9]{0,8})?$ ]] || die "$key is '$value'; it must be a whole number from 1"
  done
  for key in max-requeues max-failures; do
    value=${setting[$key]}
    [[ $value =~ ^(0|[1-9][0-9]{0,8})$ ]] || die "$key is '$value'; it must be a whole number"
  done
  [[ ${setting[mem]} =~ ^([0-9]+[KMGT]?)?$ ]] || die "mem is '${setting[mem]}'; it can be 4000M, 200G and so on"
  [[ ${setting[launcher]} =~ ^(mpirun|srun|)$ ]] || die "launcher is '${setting[launcher]}'; it can be mpirun or srun"
  [[ ${setting[no-check]} =~ ^(yes|no|)$ ]] || die "no-check is '${setting[no-check]}'; it can be yes or no"
  [[ ${setting[logs]} != *\\* ]] || die "logs is '${setting[logs]}'; Slurm takes no backslash in a log's path"
  for key in modules launcher-options environment sbatch-options; do
    split_words "${setting[$key]}" || die "$key: a quote is not closed: ${setting[$key]}"
  done
  [ -z "${setting[time]}" ] || time=$(slurm_time "${setting[time]}") ||
    die "time is '${setting[time]}'; it can be 4h, 90m, 1d12h, 30 (minutes), 4:00:00, 1-12:00:00"
  setting[time]=$time
}

# 4h, 90m, 1d12h30m as Slurm writes them, in minutes; what Slurm knows stays as it is. False for anything else.
slurm_time() {
  if [[ $1 =~ ^([0-9]{1,9}|[0-9]+:[0-9]+|[0-9]+:[0-9]+:[0-9]+|[0-9]+-[0-9]+(:[0-9]+){0,2}|infinite|UNLIMITED)$ ]]; then
    echo "$1"
  elif [[ -n $1 && $1 =~ ^(([0-9]{1,6})d)?(([0-9]{1,6})h)?(([0-9]{1,6})m)?(([0-9]{1,6})s)?$ ]]; then
    local days=${BASH_REMATCH[2]:-0} hours=${BASH_REMATCH[4]:-0} minutes=${BASH_REMATCH[6]:-0} seconds=${BASH_REMATCH[8]:-0}
    echo $(((10#$days * 24 + 10#$hours) * 60 + 10#$minutes + (10#$seconds + 59) / 60))
  else
    return 1
  fi
}

# ---- what the plan and the cluster say -----------------------------------------------------------------------

# ask_plan NODES TASKS THREADS: fills `plan`, path -> value. What `coppice run` would refuse ends here, before anything is
# queued, with the program's exit code. The inputs are looked at the first time only.
ask_plan() {
  local text key value code=0 words=(plan "$job" --json --nodes "$1" --ranks-per-node "$2" --threads "$3" "${sets[@]}")
  if [ ${#plan[@]} -gt 0 ] || [ "${setting[no-check]}" = yes ]; then words+=(--no-check); fi
  text=$("${container[@]}" "$COPPICE" "${words[@]}") || code=$?
  [ $code = 0 ] || exit $code
  plan=()
  while IFS=$'\t' read -r key value; do plan[$key]=$value; done < <(awk -f "$here/json.awk" <<<"$text")
  [ -n "${plan[.seconds]:-}" ] || die "$COPPICE plan did not answer"
}

# Cores, memory (MB) and the longest time of the partition's smallest node; what cannot be found stays 0.
ask_cluster() {
  local part=(-o '%P|%z|%m|%l|%D') line sockets cores rest
  [ -z "${setting[partition]}" ] || part+=(-p "${setting[partition]}")
  node_cores=0 node_memory=0 longest=0 most_nodes=0
  while IFS='|' read -r name layout memory limit count; do
    [[ -n ${setting[partition]} || $name == *'*' ]] || continue
    IFS=: read -r sockets cores rest <<<"${layout//+/}"
    line=$((sockets * cores))
    if [ "$node_cores" = 0 ] || [ "$line" -lt "$node_cores" ]; then node_cores=$line; fi
    if [ "$node_memory" = 0 ] || [ "${memory//+/}" -lt "$node_memory" ]; then node_memory=${memory//+/}; fi
    most_nodes=$((most_nodes + count))
    longest=$(seconds_of "$limit")
  done < <(sinfo -h "${part[@]}" 2>/dev/null)
  has_slurm=no
  if sinfo -h -o %D >/dev/null 2>&1; then has_slurm=yes; fi
}

# Elements that an array may have here: its highest index is one less than MaxArraySize.
most_elements() {
  local size
  size=$(scontrol show config 2>/dev/null | sed -n 's/^MaxArraySize *= *\([0-9]*\)$/\1/p')
  echo $((${size:-1001} > 1 ? ${size:-1001} - 1 : 1))
}

# Slurm's notation to seconds; "infinite" and what is not a time give 0.
seconds_of() {
  local days=0 text=$1 parts
  [[ $text =~ ^[0-9:-]+$ ]] || { echo 0; return; }
  if [[ $text == *-* ]]; then
    days=${text%%-*}
    IFS=: read -ra parts <<<"${text#*-}"
    parts=("${parts[0]:-0}" "${parts[1]:-0}" "${parts[2]:-0}")
  else
    IFS=: read -ra parts <<<"$text"
    case ${#parts[@]} in
    1) parts=(0 "${parts[0]}" 0) ;;
    2) parts=(0 "${parts[0]}" "${parts[1]}") ;;
    esac
  fi
  echo $((((10#$days * 24 + 10#${parts[0]}) * 60 + 10#${parts[1]}) * 60 + 10#${parts[2]}))
}

# lay_out NODES: sets `tasks` and `threads` of a node, and `plan` for them. The plan decides what the user does not say:
# one rank per core, fewer with threads when there are more cores than sequences, or when memory is short.
lay_out() {
  tasks=${setting[ntasks-per-node]} threads=${setting[cpus-per-task]}
  if [ -n "$tasks" ]; then
    ask_plan "$1" "$tasks" "${threads:=1}"
    return
  fi
  if [ -n "$threads" ]; then
    tasks=$((node_cores > threads ? node_cores / threads : 1))
  else
    ask_plan "$1" $((node_cores > 1 ? node_cores : 1)) 1
    tasks=${plan[.best.ranks_per_node]} threads=${plan[.best.threads]}
  fi
  ask_plan "$1" "$tasks" "$threads"
  while [ "$tasks" -gt 1 ] && [ "$node_memory" -gt 0 ] && [ "$(memory_of_node)" -gt "$node_memory" ]; do
    tasks=$((tasks / 2))
    if [ -z "${setting[cpus-per-task]}" ]; then threads=$((threads * 2)); fi
    ask_plan "$1" "$tasks" "$threads"
  done
}

# MB for a node of the plan: what it says and an eighth more, for the file system's buffers.
memory_of_node() {
  echo $((plan[.memory.node] * 9 / 8 / 1000000 + 64))
}

# The fewest nodes that finish within a working day's eight hours, unless the user says; fewer when more would not help.
choose_nodes() {
  local most=$most_nodes
  nodes=${setting[nodes]:-1}
  lay_out "$nodes"
  [ -z "${setting[nodes]}" ] || return 0
  while [ "${plan[.seconds]%.*}" -gt 28800 ] && [ $((nodes * 2)) -le "$most" ] &&
    [ $((nodes * 2)) -le "${plan[.useful_nodes]}" ]; do
    nodes=$((nodes * 2))
    lay_out "$nodes"
  done
}

# ---- submitting ------------------------------------------------------------------------------------------------

# The variables that supervise.sh reads: jobs inherit the environment of sbatch.
job_environment() {
  local key name environment=("COPPICE_SLURM=$here" "COPPICE=$COPPICE" "COPPICE_MAX_REQUEUES=${setting[max-requeues]}"
    "COPPICE_MAX_FAILURES=${setting[max-failures]}" SBATCH_EXPORT=ALL)
  for key in modules container bind launcher launcher-options environment no-check; do
    name=${key^^}
    if [ -n "${setting[$key]}" ]; then environment+=("COPPICE_${name//-/_}=${setting[$key]}"); fi
  done
  # That of another submission, or of one by hand, is not for these jobs.
  unset COPPICE_SET
  [ "$dry" = no ] || echo "unset COPPICE_SET"
  if [ -n "$sets_text" ]; then environment+=("COPPICE_SET=$sets_text"); fi
  export "${environment[@]}"
  [ "$dry" = no ] || printf 'export %q\n' "${environment[@]}"
}

# site_options: adds to `options` where a job goes.
site_options() {
  local key words
  for key in partition account qos constraint; do
    if [ -n "${setting[$key]}" ]; then options+=("--$key=${setting[$key]}"); fi
  done
  split_words "${setting[sbatch-options]}"
  options+=("${words[@]}")
}

# resources SECONDS NODES: fills `options` with what a job of that length asks of sbatch.
resources() {
  local time=${setting[time]} seconds signal=${setting[signal]:-300}
  if [ -z "$time" ]; then
    # Twice the estimate and ten minutes; never more than the partition allows.
    seconds=$((${1%.*} * 2 + 600))
    if [ "$longest" -gt 0 ] && [ "$seconds" -gt "$longest" ]; then seconds=$longest; fi
    time=$(((seconds + 59) / 60))
  fi
  seconds=$(seconds_of "$time")
  if [ -z "${setting[signal]}" ] && [ "$seconds" -gt 0 ] && [ "$signal" -gt $((seconds / 4)) ]; then
    signal=$((seconds / 4))
  fi
  options=(--nodes="$2" --ntasks-per-node="$tasks" --cpus-per-task="$threads"
    --mem="${setting[mem]:-$(memory_of_node)M}" --time="$time" --signal=B:USR1@"$signal")
  site_options
}

# Everybody hears of a job that failed, and of the last one's end.
mail_options() {
  [ -n "${setting[mail]}" ] || return 0
  [ "${setting[mail]}" = yes ] || echo "--mail-user=${setting[mail]}"
  if [ "$1" = last ]; then echo --mail-type=END,FAIL; else echo --mail-type=FAIL; fi
}

# Asks Slurm whether it would take the job, as far as it can tell now; its answer is a comment in the script.
test_only() {
  local name=$1 answer
  shift
  answer=$("$@" 2>&1) || die "sbatch would refuse the job $name: ${answer//$'\n'/; }"
  sed 's/^sbatch: //; s/^/# /' <<<"$answer"
}

# submit NAME AFTER LAST LOG WORD...: one sbatch, with the options of `resources`. LAST: "last" or "". Sets `id`, or, when
# nothing is to be submitted, prints the command: ids are then shell variables, so that the output is a script.
submit() {
  local name=$1 after=$2 last=$3 log=$4 command mail
  shift 4
  mapfile -t mail < <(mail_options "$last")
  command=(--job-name="$run_name-$name" --output="${logs//%/%%}/coppice-$run_name-$name-$log.log" "${mail[@]}"
    "${options[@]}")
  if [ "$dry" = yes ]; then
    if [ "$has_slurm" = yes ]; then test_only "$name" sbatch --test-only "${command[@]}" "$@"; fi
    printf '%s_id=$(sbatch --parsable ' "$name"
    printf '%q ' "${command[@]}"
    if [ -n "$after" ]; then printf -- '--dependency=afterok:%s --kill-on-invalid-dep=yes ' "$after"; fi
    printf '%q ' "$@" | sed '$s/ $/)\n/'
    id="\$${name}_id"
  else
    if [ -n "$after" ]; then command+=(--dependency=afterok:"$after" --kill-on-invalid-dep=yes); fi
    id=$(sbatch --parsable "${command[@]}" "$@") || take_back
    id=${id%%;*}
    printf '%-12s job %s\n' "$name" "$id"
  fi
  ids+=("$id")
}

# All jobs or none.
take_back() {
  if [ ${#ids[@]} -gt 0 ]; then
    scancel "${ids[@]}" || true
    die "sbatch has refused a job; those before it are cancelled: ${ids[*]}"
  fi
  die "sbatch has refused the job"
}

submit_run() {
  resources "${plan[.seconds]}" "$nodes"
  submit run '' last %j "$here/run.sbatch" "$job"
}

# One job for each command that carries out stages of the plan, in the order in which they wait for one another.
submit_chain() {
  local i name after='' useful last=''
  if [ "${plan[.propagation]}" = pruned ]; then
    echo "submit.sh: with 'propagation: pruned' the stages take turns layer by layer; submitting one job for all" >&2
    submit_run
    return
  fi
  for ((i = 0; ; i++)); do
    name=${plan[.commands.$i.name]:-}
    [ -n "$name" ] || break
    useful=${plan[.commands.$i.useful_nodes]}
    resources "${plan[.commands.$i.seconds]}" $((useful < nodes ? useful : nodes))
    if [ -z "${plan[.commands.$((i + 1)).name]:-}" ]; then last=last; fi
    submit "$name" "$after" "$last" %j "$here/stage.sbatch" "$job" "$name"
    after=$id
  done
}

# First what the dense model needs, which variants share; then the variants, several in a task where the site does not
# allow so many; then the table, which `evaluate` prints.
submit_array() {
  local i name count=0 limit='' first=() evaluated=no most each
  while [ -n "${plan[.variants.$((count + 1)).name]:-}" ]; do count=$((count + 1)); done
  for ((i = 0; ; i++)); do
    name=${plan[.commands.$i.name]:-}
    [ -n "$name" ] || break
    if [ "${plan[.commands.$i.dense_units]}" -gt 0 ]; then first+=("$name --variant dense"); fi
    if [ "$name" = evaluate ]; then evaluated=yes; fi
  done
  most=$(most_elements)
  each=${setting[variants-per-task]:-$(((count + most - 1) / most))}
  if [ -n "${setting[concurrent]}" ]; then limit=%${setting[concurrent]}; fi
  resources "${plan[.seconds]}" "$nodes"
  submit shared '' '' %j "$here/stage.sbatch" "$job" "${first[@]}"
  if [ "$each" -gt 1 ]; then
    export COPPICE_VARIANTS_PER_TASK=$each
    [ "$dry" = no ] || echo "export COPPICE_VARIANTS_PER_TASK=$each"
  fi
  submit sweep "$id" "$([ $evaluated = yes ] || echo last)" %A_%a --array="1-$(((count + each - 1) / each))$limit" \
    "$here/sweep.sbatch" "$job"
  if [ $evaluated = yes ]; then
    resources 0 1
    submit table "$id" last %j "$here/stage.sbatch" "$job" evaluate
  fi
}

# A first job that calls this script where coppice runs, with the settings as they are here.
submit_plan() {
  local key words=(--settings /dev/null)
  for key in "${!setting[@]}"; do
    if [ -n "${setting[$key]}" ]; then words+=("--$key=${setting[$key]}"); fi
  done
  [ "$mode" = run ] || words+=("--$mode")
  words+=("${sets[@]}")
  options=(--nodes=1 --ntasks=1 --time=30 --mem="${setting[mem]:-4000M}")
  site_options
  local environment=("COPPICE_SLURM=$here" "COPPICE=$COPPICE" "COPPICE_MODULES=${setting[modules]}"
    "COPPICE_ENVIRONMENT=${setting[environment]}" SBATCH_EXPORT=ALL)
  export "${environment[@]}"
  [ "$dry" = no ] || printf 'export %q\n' "${environment[@]}"
  submit plan '' '' %j "$here/plan.sbatch" "$job" "${words[@]}"
}

explain() {
  local all
  all=$(IFS=,; echo "${ids[*]}")
  printf '\nwatch     squeue -j %s\n' "$all"
  if [ -n "${plan[.run]:-}" ]; then printf '          %q status %q\n' "$COPPICE" "${plan[.run]}"; fi
  printf '          tail -F %q/coppice-%s-*.log\n' "$logs" "$run_name"
  if [ "$elsewhere" = yes ]; then echo "That log will have the numbers of the jobs that the plan takes."; fi
  printf 'cancel    scancel %s\n' "${ids[*]}"
  echo "Submitting the same job again goes on where it stopped."
}

# Which program the jobs start: of an image that on its PATH; here that of the settings, on the PATH, or next to this script,
# in an installed tree or a build.
find_program() {
  local guess
  COPPICE=${setting[coppice]}
  if [ -n "${setting[container]}" ]; then COPPICE=${COPPICE:-coppice}; fi
  for guess in "$(command -v coppice || true)" "$here/../../../bin/coppice" "$here/../build/coppice"; do
    if [ -z "$COPPICE" ] && [ -x "$guess" ]; then COPPICE=$(readlink -f "$guess"); fi
  done
}

# Whether a plan can be made on this machine.
runs_here() {
  [ -n "$COPPICE" ] && choose_container 2>/dev/null || return 1
  "${container[@]}" "$COPPICE" --version >/dev/null 2>&1
}

# A name for jobs and logs: of the run directory, or of the job file where the plan is not known.
name_of() {
  local name
  name=$(basename -- "$1")
  printf '%s' "${name//[^A-Za-z0-9._+=@-]/_}"
}

main() {
  declare -gA plan=()
  declare -ga words=() container=() ids=() sets=()
  declare -g sets_text=''
  # shellcheck source=/dev/null
  . "$here/supervise.sh"
  trap - USR1 TERM
  parse_arguments "$@"
  check_settings
  find_program
  job=$(cd -- "$(dirname -- "$job")" && pwd)/$(basename -- "$job")
  [[ ${setting[logs]} == /* ]] || setting[logs]=$PWD/${setting[logs]}
  logs=${setting[logs]%/.}
  export COPPICE COPPICE_MODULES=${setting[modules]} COPPICE_CONTAINER=${setting[container]} COPPICE_BIND=${setting[bind]}
  load_modules 2>/dev/null || elsewhere=yes
  if ! runs_here; then elsewhere=yes; fi
  if [ "${COPPICE_PLANS_HERE:-}" = yes ]; then
    unset COPPICE_PLANS_HERE
    if ! runs_here; then die "${container[*]:+${container[*]} }${COPPICE:-coppice} does not run on $(hostname)"; fi
    elsewhere=no
  fi
  ask_cluster
  [ "$elsewhere" = no ] || [ "$has_slurm" = yes ] || [ "$dry" = yes ] ||
    die "coppice is not on the PATH; set coppice=/path/to/it or container=IMAGE in the settings"
  [ "$dry" = yes ] || mkdir -p -- "$logs"
  if [ "$elsewhere" = yes ]; then
    COPPICE=${COPPICE:-coppice}
    run_name=$(name_of "${job%.*}")
    echo "submit.sh: $COPPICE does not run here: a first job makes the plan and submits the rest" >&2
    submit_plan
  else
    choose_nodes
    run_name=$(name_of "${plan[.run]}")
    job_environment
    "submit_$mode"
  fi
  [ "$dry" = yes ] || explain
}

main "$@"
