#!/usr/bin/env bash
# moved.sh - exit code 0 means that everything is there: not when the run directory was moved away under the program, and
# not when standard output could not be written.
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

# ---- standard output ------------------------------------------------------------------------------------

rm -rf "$folder/run" "$folder/models" "$folder/moved"
check "a run" runs alone run --progress none "$folder/job.yaml"
closed() { alone "$@" >&-; }
full() { alone "$@" >/dev/full; }
for how in closed full; do
  lost() { exits 1 "$how" "$@" && grep -q "^coppice: standard output: " "$folder/stderr"; }
  check "standard output is $how: run" lost run --progress none "$folder/job.yaml"
  check "standard output is $how: plan" lost plan "$folder/job.yaml"
  check "standard output is $how: plan --json" lost plan --json "$folder/job.yaml"
  check "standard output is $how: status" lost status "$folder/run"
  check "standard output is $how: verify" lost verify "$folder/run"
  check "standard output is $how: help" lost --help
done
