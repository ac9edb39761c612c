#!/usr/bin/env bash
# test_within.sh - within.sh passes a test's exit code on, and ends one that takes too long with all that it started.
set -u
export COPPICE_TEST_PATIENCE=1
within=$(dirname "${BASH_SOURCE[0]}")/within.sh
folder=$(mktemp -d "${TMPDIR:-/tmp}/coppice-within-XXXXXX")
trap 'rm -rf "$folder"' EXIT
number=0 failures=0

# is NAME FOUND EXPECTED
is() {
  number=$((number + 1))
  if [ "$2" = "$3" ]; then echo "ok $number - $1"; else failures=$((failures + 1)); echo "not ok $number - $1: $2, not $3"; fi
}

bash "$within" 60 bash -c 'echo output; exit 77' >"$folder/out"
is "the exit code is the test's" $? 77
is "so is the output" "$(cat "$folder/out")" output

# The child would write after the limit.
bash "$within" 1 bash -c '(sleep 3; echo alive >"$0/child") & echo $! >"$0/pid"; wait' "$folder" 2>"$folder/err"
is "a test that takes too long is ended" $? 143
is "which is said" "$(grep -c 'the time limit is 1 s' "$folder/err")" 1
while kill -0 "$(cat "$folder/pid")" 2>/dev/null; do read -r -t 0.05 <> <(:); done
is "what it started is ended, too" "$(ls "$folder" | tr '\n' ' ')" "err out pid "

COPPICE_TEST_PATIENCE=30 bash "$within" 1 bash -c 'sleep 2'
is "a busy machine gets more time" $? 0

echo "1..$number"
[ $failures = 0 ]
