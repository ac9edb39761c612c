#!/usr/bin/env bash
# docs.sh - what README.md and docs/ show is there: job files parse, commands and options exist, links lead somewhere, and the
# store is read with h5py as they say.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
export TUTORIAL_FOLDER=$folder/tutorial
cd "$COPPICE_SOURCE"
pages=(README.md docs/*.md)

# ---- job files: blocks of yaml, and sections of one line in the text ------------------------------------------

# FOLDER/PAGE-N.yaml for each block.
awk -v folder="$folder" '
  FNR == 1 { page = FILENAME; gsub(/[\/.]/, "-", page); count = 0 }
  /^```yaml/ { inside = 1; file = folder "/" page "-" (++count) ".yaml"; next }
  /^```/ { inside = 0 }
  inside { print > file }
' "${pages[@]}"
blocks=("$folder"/*.yaml)

# A block may be a part of a job: what must be there is added. A file that is not there is no fault of the page, nor
# is a variable that is not set; all else is.
parses() {
  local file=$1 said fault
  local -a set=()
  cp "$file" "$folder/block"
  grep -q '^model:' "$file" || echo "model: /models/m" >>"$folder/block"
  grep -q '^run:' "$file" || echo "run: /runs/r" >>"$folder/block"
  grep -q '^calibration:' "$file" || echo "calibration: {corpus: /data/c.jsonl}" >>"$folder/block"
  grep -q '^prune:' "$file" || echo "prune: {sparsity: 0.5}" >>"$folder/block"
  for fault in prune.sparsity=0.5 calibration.corpus=/data/c.jsonl; do
    said=$("$COPPICE" plan "$folder/block" "${set[@]}" 2>&1 >/dev/null)
    [[ $said != *"${fault%=*}: is missing"* ]] || set+=(--set "$fault")
  done
  said=$("$COPPICE" plan "$folder/block" "${set[@]}" 2>&1 >/dev/null)
  [[ $said == *"No such file"* || $said == *"no folder"* || $said == *"not in the cache"* || $said == *"cache"* ]] ||
    { echo "$said"; cat "$folder/block"; return 1; }
}
check "there are job files in the pages" test "${#blocks[@]}" -ge 5
for block in "${blocks[@]}"; do
  check "$(basename "$block") is a job" parses "$block"
done

# ---- command lines ---------------------------------------------------------------------------------------------

commands=$("$COPPICE" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
for command in $commands; do
  "$COPPICE" "$command" --help >"$folder/help-$command"
done
# Code in the pages: lines of four blanks, blocks, and what stands between backquotes. "# ..." is a comment.
words() {
  awk '/^```/ { fence = !fence; next }
    fence || /^    / { print; next }
    { n = split($0, part, "`"); for (i = 2; i <= n; i += 2) print part[i] }' "$@" | sed 's/ #.*//'
}
exist() {
  local line command option
  words "$@" | grep -oE '(^|[ /;|])coppice [^;|]*' | sed 's/^[^c]*//' | while read -r _ command line; do
    case $command in
      help | --* | '|'* | COMMAND | '') continue ;;
      *[!a-z]*) continue ;;
    esac
    grep -qx "$command" <<<"$commands" || { echo "no command: coppice $command $line"; continue; }
    for option in $(grep -oE -- '--[a-z][a-z-]*' <<<"$line"); do
      grep -q -- "$option" "$folder/help-$command" || echo "no option: coppice $command $line"
    done
  done
}
check "every command and option in the pages exists" same "$(exist "${pages[@]}")" ""

# ---- what stands twice -----------------------------------------------------------------------------------------

# The tutorial shows its job and the table that the program prints (docs/tutorial/pictures.sh).
shown_job=$(awk '/^```yaml/ { inside = 1; next } /^```/ { exit } inside' docs/tutorial.md)
check "the tutorial shows its job" same "$shown_job" "$(grep -v '^#' docs/tutorial/tutorial.yaml)"
shown_table=$(awk '/^    Perplexity at/ { inside = 1 } inside && /^[^ ]/ { exit } inside' docs/tutorial.md | sed 's/^    //')
check "and its table" same "$shown_table" "$(sed 's/ *$//' docs/tutorial/results.txt | sed '1{/^$/d}')"
# The command that makes JSON lines of Parquet is the program's own.
small_job "$folder/job.yaml" corpus="$folder/train.parquet"
printf 'PAR1\x15\x04' >"$folder/train.parquet"
script=$("$COPPICE" plan "$folder/job.yaml" 2>&1 | grep -o 'python3 -c "[^"]*"')
check "the pages convert Parquet as the program says" eval '[ -n "$script" ] &&
  same "$(grep -cF "$script" docs/texts-and-tasks.md)" "$(grep -c from_parquet docs/texts-and-tasks.md)"'

# ---- links -----------------------------------------------------------------------------------------------------

dangling() {
  local page target
  for page in "${pages[@]}"; do
    grep -oE '\]\([^)#]+' "$page" | sed 's/^](//' | while read -r target; do
      [[ $target == http* || -e $(dirname "$page")/$target ]] || echo "$page: $target"
    done
  done
}
check "every link leads somewhere" same "$(dangling)" ""
check "the index has every page" same "$(for page in docs/*.md; do
  [ "$page" = docs/README.md ] || grep -q "($(basename "$page"))" docs/README.md || echo "$page"; done)" ""

# ---- reading the store -----------------------------------------------------------------------------------------

python=${COPPICE_PYTHON:-python3}
if "$python" -c 'import h5py' 2>/dev/null; then
  small_job "$folder/job.yaml" method=wanda pattern= output= perplexity= energy="[]"
  check "a run to read" runs alone run "$folder/job.yaml"
  check "h5py reads it" exits 0 "$python" docs/read_run.py "$folder/run" wanda-0.5
  check "every linear has the sparsity that was asked for" same "$(grep -c 'sparsity 0.5000' "$folder/stdout")" \
    "$(grep -c sparsity "$folder/stdout")"
  check "and pruned weights are zero" eval '! grep -q "NOT ZERO" "$folder/stdout"'
  check "what is not read to its end is no error" eval '
    bash -c "\"\$0\" docs/read_run.py \"\$1\" wanda-0.5 | true" "$python" "$folder/run" 2>"$folder/stderr"; [ ! -s "$folder/stderr" ] || { cat "$folder/stderr"; exit 1; }'
  not_read() { exits 1 "$python" docs/read_run.py "$@" && same 1 "$(wc -l <"$folder/stderr")"; }
  check "without arguments it says what it takes" not_read
  check "what is no run is one line" not_read "$folder" wanda-0.5
  check "so is a variant that is not there" not_read "$folder/run" ria-0.5
  printf 'no HDF5' >"$folder/run/masks/wanda-0.5/layer-000.h5"
  check "and a damaged file" not_read "$folder/run" wanda-0.5
else
  echo "# h5py is not installed: docs/read_run.py was not run"
fi
