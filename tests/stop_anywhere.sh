#!/usr/bin/env bash
# stop_anywhere.sh - how long does it take from a signal to the end of the program, wherever the signal finds it?
#
#   tests/stop_anywhere.sh [ROUNDS [SECONDS]]     default: 40 rounds, none may take longer than 4 seconds
#
# Each round starts the program on inputs that take long to read (compressed, 60 MB of text), alone or on two ranks, waits
# for a random while and tells it to stop: by SIGTERM or SIGUSR1 to a program alone, by SIGTERM to one of two ranks, or by
# --max-time. The time of two ranks has mpirun's own end in it, a second and more. Exit code 75, or, before the
# program has said how it takes signals, the signal's own.
. "$(dirname "${BASH_SOURCE[0]}")/e2e/lib.sh"
rounds=${1:-40} longest=${2:-4}
need python3
python3 - "$folder" <<'P'
import gzip, json, sys
text = ' '.join(f'word{i % 977} of {i % 131}' for i in range(20000))
with gzip.open(sys.argv[1] + '/train.jsonl.gz', 'wt', compresslevel=1) as out:
    for i in range(200):
        out.write(json.dumps({'text': text}) + '\n')
open(sys.argv[1] + '/test.txt', 'w').write(text * 40)
P
small_job "$folder/job.yaml" corpus="$folder/train.jsonl.gz" perplexity="$folder/test.txt" sequences=64
sed -i 's/^calibration: {/&pack: true, /' "$folder/job.yaml"
worst=0
for ((round = 0; round < rounds; round++)); do
  rm -rf "$folder/run" "$folder/models"
  after=$((RANDOM % 8000)) kind=$((RANDOM % 5)) limit=()
  [ $kind != 4 ] || limit=(--max-time "$((after / 1000 + 1))s" --margin 0s)
  if [ $kind -lt 2 ] || [ $kind = 4 ]; then
    "$COPPICE" run --progress none "${limit[@]}" "$folder/job.yaml" >"$folder/stdout" 2>"$folder/stderr" &
  else
    mpirun -n 2 "$COPPICE" run --progress none "$folder/job.yaml" >"$folder/stdout" 2>"$folder/stderr" &
  fi
  started=$!
  sleep "$((after / 1000)).$(printf %03d $((after % 1000)))"
  case $kind in
  0) kill -TERM $started ;;
  1) kill -USR1 $started ;; # SIGINT is ignored behind a shell
  2 | 3)
    await 30 eval '[ "$(pgrep -c -P $started coppice)" = 2 ]'
    kill -TERM "$(pgrep -P $started coppice | sed -n "$((kind - 1))p")"
    ;;
  4) sleep "$((1000 - after % 1000))e-3" ;;
  esac
  from=$(date +%s%N) code=0
  wait $started || code=$?
  took=$((($(date +%s%N) - from) / 1000000))
  [ $took -le $worst ] || worst=$took
  kinds=(SIGTERM SIGUSR1 'SIGTERM to rank 0' 'SIGTERM to rank 1' --max-time)
  check "${kinds[kind]} after $after ms: code $code, $took ms" \
    eval "[ $took -le $((longest * 1000)) ] && case $code in 75 | 0 | 143 | 138) ;; *) cat '$folder/stderr'; false ;; esac"
done
echo "# the longest took $worst ms"
