#!/usr/bin/env bash
# irregular.sh - where the program reads a file, a FIFO, a device or a socket is refused at once and in one line.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
export "$kill_at_once"
need_maker
WATCHDOG=20 # a FIFO that is waited for ends the check

"$maker" --layers 2 --hidden 32 --intermediate 64 --heads 2 --tied "$folder/one"
"$maker" --layers 2 --hidden 32 --intermediate 64 --heads 2 --tied --shards 2 "$folder/two"

# in_model SOURCE FILE: `run` on a copy of SOURCE in which FILE is a FIFO.
in_model() {
  rm -rf "$folder/model"
  cp -r "$folder/$1" "$folder/model"
  rm "$folder/model/$2"
  mkfifo "$folder/model/$2"
  small_job "$folder/job.yaml" model="$folder/model" pattern= method=magnitude
  check "$2" refused 3 "$2: not a regular file"
}
in_model one model.safetensors
in_model one config.json
in_model one tokenizer.json
in_model two model.safetensors.index.json
in_model two model-00002-of-00002.safetensors

mkfifo "$folder/fifo.jsonl" "$folder/fifo.h5" "$folder/fifo.yaml"
for corpus in "$folder/fifo.jsonl" "$folder/fifo.h5" /dev/zero; do
  small_job "$folder/job.yaml" corpus="$corpus" pattern=
  check "a corpus: ${corpus##*/}" refused 3 "$corpus: not a regular file"
  small_job "$folder/job.yaml" perplexity="$corpus" pattern=
  check "a text: ${corpus##*/}" refused 3 "$corpus: not a regular file"
done
small_job "$folder/job.yaml" pattern= method=magnitude
sed -i "s#^evaluate: {#&tasks: [$folder/fifo.jsonl], #" "$folder/job.yaml"
check "data of a task" refused 3 "fifo.jsonl: not a regular file"
plan_refuses() { exits 2 alone plan "$folder/fifo.yaml" && one_line "fifo.yaml: not a regular file"; }
check "a job file" plan_refuses

# in_run FILE: a run directory in which FILE is a FIFO.
in_run() {
  rm -rf "$folder/run" "$folder/models"
  mkdir "$folder/run"
  mkfifo "$folder/run/$1"
  small_job "$folder/job.yaml" pattern= method=magnitude
  local code=0
  alone run --progress none "$folder/job.yaml" >"$folder/stdout" 2>"$folder/stderr" </dev/null || code=$?
  [ "$code" = 1 ] || [ "$code" = 3 ] || { echo "exit code $code"; cat "$folder/stderr"; return 1; }
  one_line "$1: not a regular file"
}
for file in run.json lock log.jsonl; do check "run/$file" in_run "$file"; done

# The same of what else may stand there: a socket, a device, a folder, a link that leads nowhere and one that leads to itself.
# `plan` opens what `run` opens, and needs no launcher.
put() {
  case $1 in
  socket) python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$2" ;;
  device) ln -s /dev/zero "$2" ;;
  folder) mkdir "$2" ;;
  dangling) ln -s "$folder/nowhere" "$2" ;;
  loop) ln -s "$2" "$2" ;;
  fifo) mkfifo "$2" ;;
  esac
}
# refuses_at_once WORDS CODES: the job file is refused in one line that has the words.
refuses_at_once() {
  local code=0
  alone plan "$folder/job.yaml" >"$folder/stdout" 2>"$folder/stderr" </dev/null || code=$?
  [[ " $2 " = *" $code "* ]] || { echo "exit code $code"; cat "$folder/stderr"; return 1; }
  one_line "$1"
}
kinds=(socket device folder dangling loop)
command -v python3 >/dev/null || kinds=(device folder dangling loop)
at=0
for file in model.safetensors config.json tokenizer.json generation_config.json train.jsonl tokens.h5 test.jsonl task.jsonl; do
  for kind in "${kinds[at % ${#kinds[@]}]}" "${kinds[(at + 1) % ${#kinds[@]}]}"; do
    rm -rf "$folder/model" "$folder"/odd
    cp -r "$folder/one" "$folder/model"
    mkdir "$folder/odd"
    place=$folder/odd/$file corpus=$folder/train.jsonl text=$folder/test.jsonl
    case $file in
    train.jsonl | tokens.h5) corpus=$place ;;
    test.jsonl) text=$place ;;
    task.jsonl) ;;
    *) place=$folder/model/$file ;;
    esac
    rm -f "$place"
    put "$kind" "$place"
    small_job "$folder/job.yaml" model="$folder/model" corpus="$corpus" perplexity="$text" pattern=
    [ "$file" != task.jsonl ] || sed -i "s#^evaluate: {#&tasks: [$place], #" "$folder/job.yaml"
    # A folder of texts is a corpus; this one has none.
    check "$file: $kind" refuses_at_once "$folder" '2 3'
  done
  at=$((at + 2))
done

mkdir -p "$folder/hub/models--a--b/refs" "$folder/hub/models--a--b/snapshots"
mkfifo "$folder/hub/models--a--b/refs/main"
small_job "$folder/job.yaml" model=a/b pattern=
check "a revision of the hub" eval 'HF_HUB_CACHE=$folder/hub refuses_at_once "has not its revision main" 2'
rm -rf "$folder/model" && mkdir "$folder/model" && mkfifo "$folder/model/model.gguf"
small_job "$folder/job.yaml" model="$folder/model/model.gguf" pattern=
check "a model that is a file" refuses_at_once model.gguf '2 3'
