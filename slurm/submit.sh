#!/bin/bash
# submit.sh - submits a coppice job to Slurm, with the nodes, memory and time that `coppice plan` says it needs.
# `submit.sh --help` explains; settings.example lists the settings.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
  cat <<TEXT
usage: slurm/submit.sh JOB [--chain | --array] [--dry-run] [--settings FILE] [--KEY VALUE ...]

  (nothing)     one Slurm job that does everything
  --chain       one job per command that has work, each starting when the one before has succeeded
  --array       a sweep: one job for what all variants share, one array task per variant, one job for the table at the end
  --dry-run     print the sbatch commands and submit nothing; the output is a script that would do it
  --settings F  default: slurm/settings, if it is there
  --KEY VALUE   any of the settings: $(tr '\n' ' ' <<<"${!setting[*]}" | xargs -n1 | sort | xargs | fold -s -w 96 | sed '2,$s/^/                /')

settings.example explains the settings. Jobs stop in good order before their time limit, requeue themselves and go on.
TEXT
}

die() {
  echo "submit.sh: $*" >&2
  exit 2
}

# ---- settings: the file, then the command line ---------------------------------------------------------------

declare -A setting=(
  [partition]="" [account]="" [qos]="" [constraint]="" [nodes]="" [ntasks-per-node]="" [cpus-per-task]="" [mem]="" [time]=""
  [coppice]="" [modules]="" [container]="" [launcher]="" [launcher-options]="" [environment]="" [logs]=. [signal]=""
  [max-requeues]=20 [max-failures]=3 [concurrent]="" [sbatch-options]="")

read_settings() {
  local file=$1 line key number=0
  [ -r "$file" ] || die "$file cannot be read"
  while IFS= read -r line || [ -n "$line" ]; do
    number=$((number + 1))
    case $line in '' | \#*) continue ;; esac
    key=${line%%=*}
    [[ $line == *=* && -v setting[$key] ]] || die "$file, line $number: no such setting: $line"
    setting[$key]=${line#*=}
  done <"$file"
}

parse_arguments() {
  local file='' key
  local -A given=()
  job='' mode=run dry=no
  while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) usage && exit 0 ;;
    --chain | --array) mode=${1#--} ;;
    --dry-run) dry=yes ;;
    --settings) file=${2:?--settings needs a file} && shift ;;
    --settings=*) file=${1#*=} ;;
    --*=*)
      key=${1%%=*}
      given[${key#--}]=${1#*=}
      ;;
    --*)
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
  if [ -z "$file" ] && [ -r "$here/settings" ]; then file=$here/settings; fi
  if [ -n "$file" ]; then read_settings "$file"; fi
  for key in "${!given[@]}"; do
    [[ -v setting[$key] ]] || die "no such option: --$key"
    setting[$key]=${given[$key]}
  done
  [[ ${setting[launcher]} =~ ^(mpirun|srun|)$ ]] || die "launcher is ${setting[launcher]}; it can be mpirun or srun"
}

# ---- what the plan and the cluster say -----------------------------------------------------------------------

# ask_plan NODES TASKS THREADS: fills `plan`, path -> value. A job file that is wrong ends here, before anything is
# queued, with the program's exit code.
ask_plan() {
  local text key value
  # shellcheck disable=SC2086
  text=$(${setting[container]} "$COPPICE" plan "$job" --json --nodes "$1" --ranks-per-node "$2" --threads "$3") || exit
  plan=()
  while IFS=$'\t' read -r key value; do plan[$key]=$value; done < <(awk -f "$here/json.awk" <<<"$text")
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
  while [ "$tasks" -gt 1 ] && [ "$node_memory" -gt 0 ] && [ "$(memory_of "$tasks")" -gt "$node_memory" ]; do
    tasks=$((tasks / 2))
    if [ -z "${setting[cpus-per-task]}" ]; then threads=$((threads * 2)); fi
    ask_plan "$1" "$tasks" "$threads"
  done
}

# MB for a node with that many ranks: what the plan says and an eighth more, for the file system's buffers.
memory_of() {
  echo $((($1 * plan[.memory.rank] + plan[.memory.node_shared]) * 9 / 8 / 1000000 + 64))
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
  for key in modules container launcher launcher-options environment; do
    name=${key^^}
    if [ -n "${setting[$key]}" ]; then environment+=("COPPICE_${name//-/_}=${setting[$key]}"); fi
  done
  export "${environment[@]}"
  [ "$dry" = no ] || printf 'export %q\n' "${environment[@]}"
}

# resources SECONDS NODES: fills `options` with what a job of that length asks of sbatch.
resources() {
  local key time=${setting[time]} seconds signal=${setting[signal]:-300}
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
    --mem="${setting[mem]:-$(memory_of "$tasks")M}" --time="$time" --signal=B:USR1@"$signal")
  for key in partition account qos constraint; do
    if [ -n "${setting[$key]}" ]; then options+=("--$key=${setting[$key]}"); fi
  done
  # shellcheck disable=SC2206
  options+=(${setting[sbatch-options]})
}

# submit NAME AFTER LOG WORD...: one sbatch, with the options of `resources`. Sets `id`, or, when nothing is to be
# submitted, prints the command: ids are then shell variables, so that the output is a script.
submit() {
  local name=$1 after=$2 log=$3 command
  shift 3
  command=(sbatch --parsable --job-name="coppice-$name" --output="${setting[logs]}/coppice-$name-$log.log"
    "${options[@]}")
  if [ "$dry" = yes ]; then
    printf '%s_id=$(' "$name"
    printf '%q ' "${command[@]}"
    if [ -n "$after" ]; then printf -- '--dependency=afterok:%s --kill-on-invalid-dep=yes ' "$after"; fi
    printf '%q ' "$@" | sed 's/ $/)\n/'
    id="\$${name}_id"
  else
    if [ -n "$after" ]; then command+=(--dependency=afterok:"$after" --kill-on-invalid-dep=yes); fi
    id=$("${command[@]}" "$@")
    id=${id%%;*}
    printf '%-12s job %s\n' "$name" "$id"
  fi
  ids+=("$id")
}

submit_run() {
  resources "${plan[.seconds]}" "$nodes"
  submit run '' %j "$here/run.sbatch" "$job"
}

# One job for each command that carries out stages of the plan, in the order in which they wait for one another.
submit_chain() {
  local i name after='' useful
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
    submit "$name" "$after" %j "$here/stage.sbatch" "$job" "$name"
    after=$id
  done
}

# First what the dense model needs, which variants share; then the variants; then the table, which `evaluate` prints.
submit_array() {
  local i name count=0 limit='' first=() evaluated=no
  while [ -n "${plan[.variants.$((count + 1)).name]:-}" ]; do count=$((count + 1)); done
  for ((i = 0; ; i++)); do
    name=${plan[.commands.$i.name]:-}
    [ -n "$name" ] || break
    if [ "${plan[.commands.$i.dense_units]}" -gt 0 ]; then first+=("$name --variant dense"); fi
    if [ "$name" = evaluate ]; then evaluated=yes; fi
  done
  if [ -n "${setting[concurrent]}" ]; then limit=%${setting[concurrent]}; fi
  resources "${plan[.seconds]}" "$nodes"
  submit shared '' %j "$here/stage.sbatch" "$job" "${first[@]}"
  submit sweep "$id" %A_%a --array="1-$count$limit" "$here/sweep.sbatch" "$job"
  if [ $evaluated = yes ]; then
    resources 0 1
    submit table "$id" %j "$here/stage.sbatch" "$job" evaluate
  fi
}

explain() {
  local all
  all=$(IFS=,; echo "${ids[*]}")
  cat <<TEXT

watch     squeue -j $all
          $COPPICE status ${plan[.run]}
          tail -F ${setting[logs]}/coppice-*.log
cancel    scancel ${ids[*]}
Submitting the same job again goes on where it stopped.
TEXT
}

main() {
  declare -gA plan=()
  parse_arguments "$@"
  COPPICE=${setting[coppice]:-$(command -v coppice || true)}
  if [ -z "$COPPICE" ] && [ -x "$here/../build/coppice" ]; then COPPICE=$(cd "$here/../build" && pwd)/coppice; fi
  [ -n "$COPPICE" ] || die "coppice is not on the PATH; set coppice=/path/to/it in the settings"
  job=$(cd "$(dirname "$job")" && pwd)/$(basename "$job")
  export COPPICE COPPICE_MODULES=${setting[modules]}
  # shellcheck source=/dev/null
  . "$here/supervise.sh"
  trap - USR1 TERM
  load_modules || die "could not load the modules: ${setting[modules]}"
  ask_cluster
  choose_nodes
  job_environment
  mkdir -p "${setting[logs]}"
  ids=()
  "submit_$mode"
  [ "$dry" = yes ] || explain
}

main "$@"
