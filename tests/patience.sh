# shellcheck shell=bash
# patience.sh - sourced by whatever has a time limit: limits are those of a quiet machine, times the patience. Nothing
# fails because the machine has other things to do.

# How many times longer than on a quiet machine things may take: COPPICE_TEST_PATIENCE where that is set, else the
# programs that wait for a core, for each core: a whole number from 1 to 30.
patience() {
  if [ -n "${COPPICE_TEST_PATIENCE:-}" ]; then
    echo "$COPPICE_TEST_PATIENCE"
  elif [ -r /proc/loadavg ]; then
    awk -v cores="$(getconf _NPROCESSORS_ONLN)" '{
      split($4, running, "/")
      factor = int(($1 > running[1] ? $1 : running[1]) / cores + 0.999)
      print (factor < 1 ? 1 : (factor > 30 ? 30 : factor))
    }' /proc/loadavg
  else
    echo 1
  fi
}

# patiently SECONDS: that many on this machine, now.
patiently() { echo $(($1 * $(patience))); }

# await_every PAUSE SECONDS COMMAND...: until the command succeeds, with a pause in between; false when the time is over. It
# passes more slowly on a busy machine, by the patience as it is from second to second.
await_every() {
  local pause=$1 left=$(($2 * 1000000)) now=${EPOCHREALTIME/./} last looked=0 patience
  shift 2
  until "$@" >/dev/null 2>&1; do
    last=$now now=${EPOCHREALTIME/./}
    if [ $((now - looked)) -ge 1000000 ]; then looked=$now patience=$(patience); fi
    left=$((left - (now - last) / patience))
    [ "$left" -gt 0 ] || return 1
    sleep "$pause"
  done
}
