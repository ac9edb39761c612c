#!/usr/bin/env bash
# within.sh - runs a test and ends it when it takes longer than its time limit.
# Usage: tests/within.sh SECONDS COMMAND...
#
# The seconds are those of a quiet machine. On a busy one they pass more slowly, by the patience of patience.sh as it
# is from moment to moment; ctest's own limit is set once, before anything runs.
. "$(dirname "${BASH_SOURCE[0]}")/patience.sh"
limit=$1
shift

# Files in memory where there is plenty: of a disk, ranks mostly wait for it to have written, busily. TMPDIR says otherwise.
memory=/dev/shm
if [ -z "${TMPDIR:-}" ] && [ "$(stat -f -c %T "$memory" 2>/dev/null)" = tmpfs ] && [ -w "$memory" ] &&
  [ "$(df -k --output=avail "$memory" | tail -n 1)" -ge 2000000 ]; then
  export TMPDIR=$memory
fi

# tree PID WATCHER: the process and all that it has started, but for the watcher.
tree() {
  ps -A -o pid= -o ppid= | awk -v root="$1" -v watcher="$2" '{ parent[$1] = $2 }
    END {
      for (pid in parent) {
        at = pid
        while (at in parent && at != root && at != watcher) at = parent[at]
        if (at == root) print pid
      }
    }'
}

# The watcher is no part of the test: it holds none of its files, and ends when the test has ended.
watch() {
  local test=$1 self=$BASHPID passed=0 pids
  while kill -0 "$test" 2>/dev/null; do
    sleep 1
    passed=$((passed + 1000 / $(patience)))
    [ "$passed" -ge $((limit * 1000)) ] || continue
    pids=$(tree "$test" "$self")
    echo "ended after $SECONDS s: the time limit is $limit s on a quiet machine" >>"/proc/$test/fd/2"
    # shellcheck disable=SC2086
    kill -TERM $pids
    sleep 5
    # shellcheck disable=SC2086
    kill -KILL $pids
    return
  done
}
watch $$ </dev/null >/dev/null 2>&1 &
exec "$@"
