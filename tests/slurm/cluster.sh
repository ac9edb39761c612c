# shellcheck shell=bash
# cluster.sh - sourced: a private Slurm cluster of several nodes on one machine, up in about a second.
#
# Every node, and the controller "ctl", is a set of fresh network, host-name, process, mount and ipc namespaces,
# joined by virtual cables to a bridge that lives in the controller's own network. Nothing of the machine's own
# network, Slurm, munge or /etc is read or changed, so any number of clusters can run side by side.
#
#   cluster_missing               what a cluster needs and is not here, one line; nothing when all is well
#   cluster_up FOLDER NODES CPUS  bring it up (FOLDER: short, empty, on a path that all nodes see)
#   cluster_down                  end every process of it, at once
#   on NODE COMMAND...            run a command in a node's namespaces, or in ctl's
#   node_off NODE, node_on NODE   the power switch
#   link NODE up|down             its network cable
# What Slurm would mail are lines of FOLDER/letters.
#
# The nodes live as long as the process that sourced this: they hold the read end of a pipe whose write end is
# that process's file descriptor 9. However it dies, the kernel closes the pipe and the cluster is gone.

cluster_source=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cluster_subnet=10.77.0 # free in every new network namespace

cluster_missing() {
  local tool
  [ "$(id -u)" = 0 ] || { echo "namespaces need root"; return; }
  [ -e /etc/hosts ] || { echo "there is no /etc/hosts to put another one over"; return; }
  for tool in slurmctld slurmd sbatch squeue scontrol munged unshare nsenter ip pgrep; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$tool" >/dev/null || { echo "$tool is not installed"; return; }
  done
  unshare --net --uts --pid --mount --ipc --fork --mount-proc --propagation private \
    ip link add probe0 type bridge 2>/dev/null || echo "namespaces with a network bridge are not permitted here"
}

on() {
  local node=$1
  shift
  nsenter -t "$(cat "$cluster/$node.pid")" --net --uts --pid --mount --ipc --wdns="$PWD" -- \
    env SLURM_CONF="$cluster/slurm.conf" "$@" 9>&-
}

# Process 1 of a node only waits: for the end of the pipe, and for its orphans, which bash reaps meanwhile.
# /dev/shm is the node's own, as the memory of a machine is.
node_hold() {
  local node=$1
  rm -f "$cluster/$node.ready"
  setsid unshare --net --uts --pid --mount --ipc --fork --kill-child --mount-proc --propagation private bash -c "
    hostname $node && mount --bind '$cluster/hosts' /etc/hosts && mount -t tmpfs tmpfs /dev/shm &&
      ip link set lo up && touch '$cluster/$node.ready' && read -r _" \
    <"$cluster/alive" >"$cluster/$node.log" 2>&1 9>&- &
  local holder=$!
  disown "$holder"
  echo "$holder" >"$cluster/$node.holder"
  until [ -e "$cluster/$node.ready" ]; do
    kill -0 "$holder" 2>/dev/null || { cat "$cluster/$node.log" >&2; return 1; }
    sleep 0.02
  done
  pgrep -P "$holder" >"$cluster/$node.pid"
}

node_on() {
  local node=$1 number=${1#node}
  node_hold "$node"
  # "ip" looks process ids up in /proc: enter only ctl's network, so that the machine's own ids are valid.
  nsenter -t "$(cat "$cluster/ctl.pid")" --net ip link add "cable$number" type veth peer name eth0 \
    netns "$(cat "$cluster/$node.pid")"
  on ctl ip link set "cable$number" master switch0 up
  on "$node" ip addr add "$cluster_subnet.$((number + 10))/24" dev eth0
  on "$node" ip link set eth0 up
  on "$node" slurmd -N "$node"
}

node_off() {
  local node=$1 holder
  holder=$(cat "$cluster/$node.holder" 2>/dev/null) || return 0
  rm -f "$cluster/$node.holder"
  # Only what is still the process that was started here.
  if tr '\0\n' '  ' <"/proc/$holder/cmdline" 2>/dev/null | grep -q "^unshare .*$cluster/hosts"; then
    kill -9 "$holder"
    while [ -e "/proc/$holder" ] && ! grep -q '^State:.Z' "/proc/$holder/status" 2>/dev/null; do sleep 0.02; done
  fi
}

link() {
  on ctl ip link set "cable${1#node}" "$2"
}

cluster_up() {
  local nodes=$2 cpus=$3 i
  cluster=$1
  mkdir -p "$cluster/munge" "$cluster/state"
  mkfifo "$cluster/alive"
  exec 9<>"$cluster/alive" # opened both ways only so that opening does not block
  sed -e "s#@FOLDER@#$cluster#g; s#@NODES@#$nodes#g; s#@CPUS@#$cpus#g; s#@MEMORY@#4000#g" \
    "$cluster_source/slurm.conf.in" >"$cluster/slurm.conf"
  # Letters are lines: -s SUBJECT TO.
  printf '#!/bin/sh\necho "$@" >>%q\n' "$cluster/letters" >"$cluster/mail"
  chmod +x "$cluster/mail"
  {
    echo "127.0.0.1 localhost"
    echo "$cluster_subnet.1 ctl"
    for ((i = 1; i <= nodes; i++)); do
      mkdir -p "$cluster/spool-node$i" "$cluster/tmp-node$i"
      echo "$cluster_subnet.$((i + 10)) node$i"
    done
  } >"$cluster/hosts"

  node_hold ctl
  on ctl ip link add switch0 type bridge
  on ctl ip addr add "$cluster_subnet.1/24" dev switch0
  on ctl ip link set switch0 up
  # One munged serves all: a unix socket does not care about network namespaces.
  head -c 1024 /dev/urandom >"$cluster/munge/key"
  chmod 400 "$cluster/munge/key"
  on ctl munged --force --key-file="$cluster/munge/key" --socket="$cluster/munge/socket" \
    --pid-file="$cluster/munge/pid" --log-file="$cluster/munge/log" --seed-file="$cluster/munge/seed"
  on ctl slurmctld -c
  for ((i = 1; i <= nodes; i++)); do node_on "node$i"; done
  for ((i = 0; i < 300; i++)); do
    [ "$(on ctl sinfo -h -t idle -o %D 2>/dev/null)" = "$nodes" ] && return 0
    sleep 0.05
  done
  echo "the cluster did not come up:" >&2
  tail -n 20 "$cluster"/*.log >&2
  return 1
}

cluster_down() {
  local file
  for file in "$cluster"/*.holder; do
    [ -e "$file" ] && node_off "$(basename "$file" .holder)"
  done
  exec 9>&-
}
