# lib.sh - sourced by every end-to-end test: checks, small jobs, starting and killing the program.
#
# A test runs the built program as a user would and prints a line per check. COPPICE is the program,
# COPPICE_SOURCE the source tree; both have defaults for running a test by hand from anywhere.
# Exit code 0: all checks passed, 1: some failed, 77: could not run here.
set -uo pipefail
COPPICE_SOURCE=${COPPICE_SOURCE:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
COPPICE=$(realpath "${COPPICE:-$COPPICE_SOURCE/build/coppice}")
. "$COPPICE_SOURCE/jobs/packages.sh"
. "$COPPICE_SOURCE/tests/patience.sh"
. "$COPPICE_SOURCE/tests/mpi.sh"
export_mpi_environment
export LC_ALL=C OMP_NUM_THREADS=1
cd "$COPPICE_SOURCE" || exit 1

folder=$(mktemp -d "${TMPDIR:-/tmp}/coppice-e2e-XXXXXX")
checks=0 failures=0

# ---- results --------------------------------------------------------------------------------------------

# ctest reads the exit code; whatever ends a test must end its programs and remove its folder.
end_test() {
  local code=$?
  trap - EXIT
  reap_programs
  chmod -R u+rwX "$folder" 2>/dev/null
  if [ -n "${KEEP:-}" ]; then echo "# kept $folder"; else rm -rf "$folder"; fi
  [ "$code" = 0 ] || exit "$code"
  echo "1..$checks"
  [ "$failures" = 0 ] || { echo "# $failures of $checks failed"; exit 1; }
}
trap end_test EXIT
trap 'exit 130' INT TERM

skip_test() { echo "1..0 # SKIP $*"; exit 77; }
need() { command -v "$1" >/dev/null || skip_test "$1 is not installed"; }
# need_tool NAME: a program or library of the build, from tests/tools or tests/preload; its path is in $tool.
need_tool() {
  tool=$(dirname "$COPPICE")/tests/$1
  [ -e "$tool" ] || tool=$COPPICE_SOURCE/build/tests/$1
  [ -e "$tool" ] || skip_test "$1 is not built"
}
need_maker() { need_tool make_checkpoint; maker=$tool; }

# check NAME COMMAND...: passes when the command does; what it printed is shown when it does not. TIMES=1 shows the
# processor time since the last check as well, that of programs that have ended.
check() {
  local name=$1 output
  shift
  checks=$((checks + 1))
  if output=$("$@" 2>&1); then
    echo "ok $checks - $name"
  else
    failures=$((failures + 1))
    echo "not ok $checks - $name"
    echo "$output" | sed 's/^/# /'
  fi
  [ -z "${TIMES:-}" ] || show_time
}
spent=0
show_time() {
  local shown
  times >"$folder/times" # in a subshell it would be that one's
  read -r spent shown < <(awk -v before="$spent" '{ split($1 "m" $2, t, /[ms]+/); now += 60 * (t[1] + t[3]) + t[2] + t[4] }
    END { print now, now - before }' "$folder/times")
  echo "#   $shown s"
}
not() { ! "$@"; }
same() { [ "$1" = "$2" ] || { diff <(echo "$1") <(echo "$2"); return 1; }; }

# near FOUND EXPECTED RELATIVE
near() {
  awk -v a="$1" -v b="$2" -v r="$3" 'BEGIN { d = a - b; if (d < 0) d = -d; if (b < 0) b = -b;
    if (a == "" || d > r * b) { printf "%s, expected %s\n", a, b; exit 1 } }'
}

# ---- jobs -----------------------------------------------------------------------------------------------

# small_job FILE [KEY=VALUE...]: a job of a second or two on the demonstration's model; keys as below. The
# model has 4 layers, so that the oldest activations are removed on the way.
small_job() {
  local file=$1 model=$COPPICE_SOURCE/jobs/demo/kjv-llama-1m run=$folder/run output=$folder/models corpus=$folder/train.jsonl
  local sequences=5 length=48 seed=3 keep_activations=false method='[wanda, cvr]' sparsity=0.5 pattern=2:4
  local alpha= activation_exponent= group=row propagation=pruned skip='[]' energy='[columns, rows]' clamp='[0.1, 10]'
  local compensate= states_every=
  local perplexity=$folder/test.jsonl evaluate_length=64
  shift
  [ $# = 0 ] || local "$@"
  [ -e "$folder/train.jsonl" ] || head -n 8 jobs/demo/train.jsonl >"$folder/train.jsonl"
  [ -e "$folder/test.jsonl" ] || head -n 1 jobs/demo/test.jsonl >"$folder/test.jsonl"
  {
    echo "model: $model"
    echo "run: $run"
    [ -z "$output" ] || echo "output: $output"
    echo "calibration: {corpus: $corpus, sequences: $sequences, length: $length, seed: $seed,"
    echo "  keep_activations: $keep_activations${states_every:+, states_every: $states_every}}"
    echo "prune:"
    echo "  method: $method"
    [ -z "$sparsity" ] || echo "  sparsity: $sparsity"
    [ -z "$pattern" ] || echo "  pattern: $pattern"
    [ -z "$alpha" ] || echo "  alpha: $alpha"
    [ -z "$activation_exponent" ] || echo "  activation_exponent: $activation_exponent"
    echo "  group: $group"
    echo "  propagation: $propagation"
    echo "  skip: $skip"
    echo "compensate: {energy: $energy, clamp: $clamp$compensate}"
    [ -z "$perplexity" ] || echo "evaluate: {perplexity: $perplexity, length: $evaluate_length}"
  } >"$file"
}

# demo_job FOLDER: the demonstration's job, measured on the first five documents of its text to save time.
demo_job() {
  head -n 5 jobs/demo/test.jsonl >"$1/test.jsonl"
  sed "s#\$FOLDER#$1#g; s#: \(kjv\|train\)#: $COPPICE_SOURCE/jobs/demo/\1#" jobs/demo/demo.yaml >"$1/job.yaml"
}

# ---- starting the program -------------------------------------------------------------------------------

# Nothing may hang: a program that does is ended, and the exit code is 124. WATCHDOG is in seconds of a quiet machine.
watched() { timeout -k 5 "$(patiently "${WATCHDOG:-150}")" "$@"; }
alone() { watched "$COPPICE" "$@"; }
ranks() {
  local n=$1
  shift
  watched mpirun -n "$n" "$COPPICE" "$@"
}

# exits CODE COMMAND...: the command ends with this code; stdout and stderr are left in $folder. mpirun was seen, once in some
# ten thousand starts, to end with 1 where nobody had failed and nothing was said. What the program does wrong it says: a
# command that says nothing at all is started once more, and what it does then counts.
exits() {
  local wanted=$1 code=0
  shift
  "$@" >"$folder/stdout" 2>"$folder/stderr" </dev/null || code=$?
  if [ "$code" = 1 ] && [ "$wanted" = 0 ] && [ ! -s "$folder/stdout" ] && [ ! -s "$folder/stderr" ]; then
    echo "# ended with 1 and said nothing, once more: $*" >&2
    code=0
    "$@" >"$folder/stdout" 2>"$folder/stderr" </dev/null || code=$?
  fi
  [ "$code" = "$wanted" ] || { echo "exit code $code, expected $wanted: $*"; cat "$folder/stdout" "$folder/stderr"; return 1; }
}
runs() { exits 0 "$@"; }

# refused CODE WORD... : $folder/job.yaml ends `run` with this exit code on two ranks, with one line on standard error
# that holds every WORD, and leaves nothing; `plan`, a process by itself, says the same. mpirun adds lines of its own unless
# it is quiet.
refused() {
  refused_leaving nothing_made two_quiet_ranks "$@" || return 1
  mv "$folder/stderr" "$folder/stderr.run"
  exits "$1" alone plan "$folder/job.yaml" && cmp "$folder/stderr.run" "$folder/stderr" && nothing_made || { echo plan; return 1; }
}
# refused_by_run: the same for what is in the weights, which a plan does not read: alone and on two ranks.
refused_by_run() { refused_leaving nothing_made "alone two_quiet_ranks" "$@"; }
# refused_late: the same for what is only seen once work is under way: nothing half-made, no output.
refused_late() { refused_leaving nothing_half_made "alone two_quiet_ranks" "$@"; }
refused_leaving() { # WHAT_MAY_BE_LEFT STARTS CODE WORD...
  local left=$1 starts=$2 wanted=$3 start
  shift 3
  for start in $starts; do
    rm -rf "$folder/run" "$folder/models"
    exits "$wanted" "$start" run --progress none "$folder/job.yaml" && one_line "$@" && "$left" ||
      { echo "$start"; return 1; }
  done
}
two_quiet_ranks() { quietly 2 "$COPPICE" "$@"; }
# quietly N COMMAND...: so many ranks of it, watched, without lines of mpirun's own. Variables for the ranks alone: env.
quietly() {
  local n=$1
  shift
  quieted watched mpirun $quiet_option -n "$n" "$@"
}
one_line() {
  local word
  [ "$(wc -l <"$folder/stderr")" = 1 ] || { echo "not one line:"; cat "$folder/stderr"; return 1; }
  for word in "coppice: " "$@"; do
    grep -qF -- "$word" "$folder/stderr" || { echo "no '$word' in: $(cat "$folder/stderr")"; return 1; }
  done
  [ ! -s "$folder/stdout" ] || { echo "on standard output:"; cat "$folder/stdout"; return 1; }
}
nothing_half_made() { [ ! -e "$folder/models" ] && no_leftovers; }
nothing_made() {
  [ ! -e "$folder/run" ] && [ ! -e "$folder/models" ] || { echo "left:"; find "$folder/run" "$folder/models"; return 1; }
}

# ---- what a run leaves ----------------------------------------------------------------------------------

# Hashes of all files of a run and its models, those that tell the time apart: run.json without its start.
fingerprint() {
  local run=${1:-$folder/run} models=${2:-$folder/models}
  (cd "$run" && find . -type f ! -name log.jsonl ! -name run.json | sort | xargs -r sha256sum)
  jq -S 'del(.started, .xxh3)' "$run/run.json" | sha256sum
  [ ! -e "$models" ] || (cd "$models" && find . -type f | sort | xargs -r sha256sum)
}

# no_leftovers: no temporary file, no lock, no half-made export.
no_leftovers() {
  local found
  found=$(find "$folder" -name '.*' ! -path "$folder" 2>/dev/null; find "$folder" -path '*/run*/lock*')
  [ -z "$found" ] || { echo "$found"; return 1; }
}

# The units of the log, one a line: STAGE VARIANT LAYER.
logged_units() {
  jq -R -r 'fromjson? | select(.event == "unit") | "\(.stage) \(.variant) \(.layer)"' "${1:-$folder/run}/log.jsonl"
}
no_unit_twice() {
  local twice
  twice=$(logged_units "$@" | sort | uniq -d)
  [ -z "$twice" ] || { echo "done twice: $twice"; return 1; }
}

# results_column RUN COLUMN: "VARIANT VALUE" of every line of RUN/results.csv; no cell of these tests has a comma.
results_column() {
  awk -F, -v name="$2" 'NR == 1 { for (i = 1; i <= NF; i++) { if ($i == name) column = i; if ($i == "variant") variant = i } next }
    { print $variant, $column }' "$1/results.csv"
}

# ---- the same bytes -------------------------------------------------------------------------------------

# These work in $folder/run and $folder/models, so that even the paths in coppice.json must be equal.

# undisturbed RANKS JOB [OPTIONS...]: runs the job from the start; what it comes to is in $wanted. It ends the test when
# that fails. Not to be called by `check`, which runs its command in a subshell.
undisturbed() {
  local n=$1 job=$2
  shift 2
  rm -rf "$folder/run" "$folder/models"
  runs ranks "$n" run "$@" "$job" || { cat "$folder/stderr"; echo "Bail out! the first run failed"; exit 1; }
  no_leftovers && no_unit_twice || { echo "Bail out! the first run is not clean"; exit 1; }
  wanted=$(fingerprint)
  [ "$(echo "$wanted" | wc -l)" -ge 15 ] || { echo "Bail out! too few files: $wanted"; exit 1; }
}
# goes_on RANKS JOB [OPTIONS...]: `run` ends as the undisturbed job did.
goes_on() {
  local n=$1 job=$2
  shift 2
  runs ranks "$n" run "$@" "$job" && same "$wanted" "$(fingerprint)" && no_leftovers && no_unit_twice
}
# again RANKS JOB [OPTIONS...]: the same from the start.
again() {
  rm -rf "$folder/run" "$folder/models"
  goes_on "$@"
}

# strike JOB MOMENT TARGET RANKS THEN [OPTIONS...]: starts the job on RANKS ranks, kills TARGET (a rank's number, all,
# mpirun) when a file like MOMENT appears below $folder, and goes on with THEN ranks. Temporary files, .NAME.*, live for
# milliseconds: where interpose.so can be loaded the program stops by itself before it gives one its name. Else they are
# looked for every few milliseconds: one may be missed, and the program ends. Then it is started anew.
strike() {
  local job=$1 moment=$2 target=$3 n=$4 then=$5 tries=0 paused=
  shift 5
  [[ ${moment##*/} != .*.\* ]] || paused=$(named_at "$moment")
  local -x "$kill_at_once"
  while :; do
    rm -rf "$folder/run" "$folder/models"
    PAUSE=$paused start "$n" run "$@" "$job"
    await 60 exists_or_gone "$folder/$moment" || { echo "$moment never came"; return 1; }
    ! alive "$started" || kill_target "$target" || :
    finish_started || return 1
    [ "$code" = 0 ] || break
    tries=$((tries + 1))
    [ $tries -lt 40 ] || { echo "$moment was never seen in time"; cat "$folder/stderr"; return 1; }
  done
  # 137 is a killed program; a rank that loses the others may say so before mpirun ends it.
  [ "$code" = 137 ] || [ "$code" = 1 ] || { echo "exit code $code"; cat "$folder/stderr"; return 1; }
  goes_on "$then" "$job" "$@"
}
# named_at MOMENT: the path that a temporary file like PATH/.NAME.* is given in the end.
named_at() {
  local name=${1##*/}
  name=${name#.}
  echo "$folder/${1%/*}/${name%.\*}"
}

# ---- the reference --------------------------------------------------------------------------------------

# perplexities_agree GOLDEN RELATIVE COUNT: those of the run, with the golden file's, of that many variants.
perplexities_agree() {
  local variant expected count=0
  while read -r variant expected; do
    near "$(jq .perplexity "$folder/run/results/$variant/perplexity.json")" "$expected" "$2" || { echo "$variant"; return 1; }
    count=$((count + 1))
  done < <(jq -r '.perplexity | to_entries[] | "\(.key) \(.value)"' "$1")
  [ "$count" = "$3" ] || { echo "$count variants, not $3"; return 1; }
}

# dataset FILE NAME: its bytes, little-endian.
dataset() { h5dump -d "$2" -b LE -o "$folder/bytes" "$1" >/dev/null && cat "$folder/bytes"; }

# contents FILE...: the hashes of all datasets. Files of two runs that were made from other files differ beside them.
contents() {
  local file
  for file in "$@"; do h5dump -A "$file"; done | awk '/ATTRIBUTE "xxh3"/ { on = 1 } on && /\(0\):/ { print $2; on = 0 }'
}

# mask_agrees FILE VARIANT LINEAR PART: the first layer's mask differs from the golden file in at most one byte of PART.
mask_agrees() {
  local size differ
  dataset "$folder/run/masks/$2/layer-000.h5" "/$3/mask" >"$folder/mask"
  size=$(wc -c <"$1")
  same "$(wc -c <"$folder/mask")" "$size" || return 1
  differ=$(cmp -l "$1" "$folder/mask" | wc -l)
  [ $((differ * $4)) -le "$size" ] || { echo "$2, $3: $differ of $size bytes differ"; return 1; }
}

# ---- killing --------------------------------------------------------------------------------------------

# start N ARGUMENTS...: the program in the background; $mpirun_pid, and $folder/pid.R for rank R. PAUSE: a path before
# whose renaming it waits; STOP: one before which it is suspended (tests/preload/interpose.c). ACCOUNT: another library that
# is loaded before the program.
start() {
  local n=$1 preload=
  shift
  rm -f "$folder"/pid.*
  [ -z "${PAUSE:-}${STOP:-}" ] || ! can_interpose || preload=$interpose:
  watched mpirun -n "$n" bash -c 'echo $$ >"$0.${!rank_in}"
    export LD_PRELOAD=$1${LD_PRELOAD:-} FAULT_PAUSE=$2 FAULT_STOP=$3; exec "${@:4}"' \
    "$folder/pid" "$preload${ACCOUNT:+$ACCOUNT:}" "${PAUSE:-}" "${STOP:-}" "$COPPICE" "$@" >"$folder/stdout" 2>"$folder/stderr" </dev/null &
  started=$!
}
interpose=$(dirname "$COPPICE")/tests/interpose.so
# The sanitizers' own library has to come first.
can_interpose() { [ -e "$interpose" ] && ! grep -q libasan "$COPPICE"; }
rank_pid() { cat "$folder/pid.$1" 2>/dev/null; }
# mpirun is the parent of its ranks. timeout, ours, is mpirun's.
mpirun_of() { awk '/^PPid:/ { print $2 }' "/proc/$(rank_pid 0)/status" 2>/dev/null; }

# A process that nobody has waited for yet is gone as well.
alive() {
  local stat
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  stat=${stat##*) }
  [ "${stat%% *}" != Z ]
}

# await SECONDS COMMAND...: until the command succeeds; false when the time is over.
await() { await_every 0.003 "$@"; }
exists() { compgen -G "$1" >/dev/null; }
exists_or_gone() { exists "$1" || ! alive "$started"; }

ranks_are_gone() {
  local file
  exists "$folder/pid.*" || return 1
  for file in "$folder"/pid.*; do ! alive "$(<"$file")" || return 1; done
}
# Waits for the background program; its exit code is in $code. Ranks whose mpirun was killed end by themselves. Open MPI's
# mpirun may wait for itself for ever when its ranks were killed, in pmix_rte_finalize: it is killed, and $hung counts it.
hung=0
finish_started() {
  local file
  code=0
  until ! alive "$started" || ranks_are_gone; do sleep 0.01; done
  if ! await 20 not alive "$started"; then
    hung=$((hung + 1))
    kill -KILL "$(pgrep -P "$(pgrep -P "$started")")"
  fi
  wait "$started" || code=$?
  for file in "$folder"/pid.*; do
    await 10 not alive "$(cat "$file")" || { echo "rank ${file##*.} still runs"; return 1; }
  done
}

# kill_target RANK|all|mpirun: of the started program, with SIGKILL.
kill_target() {
  local file
  case $1 in
    mpirun) kill -KILL "$(mpirun_of)" ;;
    all) for file in "$folder"/pid.*; do kill -KILL "$(cat "$file")" 2>/dev/null; done; : ;;
    *) kill -KILL "$(rank_pid "$1")" ;;
  esac
}

# For the end of a test: no process of ours stays.
reap_programs() {
  local file pid
  for file in "$folder"/pid.*; do
    [ -e "$file" ] || continue
    pid=$(cat "$file")
    # Only what still is the program that was started under this number.
    [ "$(readlink "/proc/$pid/exe" 2>/dev/null)" != "$COPPICE" ] || kill -KILL "$pid" 2>/dev/null
  done
}
