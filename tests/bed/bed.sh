#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Real hosts on one machine: podman containers that boot systemd on a network of their own, reached
# over SSH.  Needs root, podman, runc, netavark, mmdebstrap, iproute2.
#
#   bed.sh up NAME:SUITE...   build what is missing, boot the hosts, write $BED_DIR/hosts.ini
#   bed.sh stop NAME          shut a host down          bed.sh start NAME   power it on again
#   bed.sh down               remove hosts, bridge and network; images stay in podman's store
#
# BED_DIR keeps keys and the inventory; BED_PREFIX (at most 9 letters) and BED_SUBNET keep several
# beds on one machine apart; BED_VOLUME (FROM:TO:ro) is mounted in every host.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bed=${BED_DIR:?set BED_DIR to a directory for keys and inventory}
id=$(printf %s "$bed" | sha256sum)
prefix=${BED_PREFIX:-cc${id:0:5}}
subnet=${BED_SUBNET:-10.213.$((16#${id:0:2} % 250))}
network=$prefix-net bridge=${prefix}br
mkdir -p "$bed"

# runc: crun refuses the hybrid cgroup hierarchy of some machines.  The limits: root in a virtual
# machine may lack CAP_SYS_RESOURCE, and podman's own defaults are higher than it may set.
cat > "$bed/containers.conf" <<CONF
[containers]
default_ulimits = ["nofile=1024:$(ulimit -Hn)", "nproc=8192:8192"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
export CONTAINERS_CONF=$bed/containers.conf

log() { printf '%s bed: %s\n' "$(date +%T)" "$*" >&2; }

image() { # the image of a suite, built once for each version of image.sh; prints its name
  local suite=$1 version name tar
  version=$(sha256sum < "$here/image.sh")
  name=localhost/coldchain-bed:$suite-${version:0:12}
  if ! podman image exists "$name"; then
    log "building the image of $suite (about a minute)"
    tar=$bed/$suite.tar
    "$here/image.sh" "$suite" "$tar" >&2
    # Shared mounts, or systemd applies no sandbox to the units inside.
    podman import -q -c 'CMD ["/bin/sh","-c","mount --make-rshared / && exec /lib/systemd/systemd"]' \
      -c 'STOPSIGNAL SIGRTMIN+3' "$tar" "$name" > /dev/null
    rm -f "$tar"
  fi
  echo "$name"
}

capabilities() { # what makes sandboxing and limits inside the hosts real instead of silently ignored
  printf '%s\n' --cap-add=SYS_ADMIN
  [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] && return
  local controller # one by one: the whole of /sys/fs/cgroup would turn read-only for the machine
  for controller in cpu cpuacct memory pids blkio; do
    printf '%s\n' "--volume=/sys/fs/cgroup/$controller:/sys/fs/cgroup/$controller:rw"
  done
}

network_up() {
  if ! podman network exists "$network"; then
    podman network create --internal --disable-dns --subnet "$subnet.0/24" "$network" > /dev/null
    sed -i "s/\"network_interface\": \"[^\"]*\"/\"network_interface\": \"$bridge\"/" \
      "/etc/containers/networks/$network.json"
  fi
  ip link show "$bridge" > /dev/null 2>&1 && return
  # An internal network gives this machine no address; a veth pair keeps the bridge alive when the
  # last host leaves.
  ip link add "$bridge" type bridge
  ip link add "${bridge}k" type veth peer name "${bridge}p"
  ip link set "${bridge}k" master "$bridge" up
  ip link set "${bridge}p" up
  ip link set "$bridge" up
  ip address add "$subnet.1/24" dev "$bridge"
}

wait_for_ssh() { # NAME ADDRESS
  local _
  for _ in $(seq 1500); do
    timeout 1 bash -c "exec 3<>/dev/tcp/$2/22 && head -c4 <&3" 2> /dev/null | grep -q SSH- && return
    sleep 0.2
  done
  log "$1: SSH does not answer"
  podman logs "$prefix-$1" 2>&1 | tail -5 >&2
  return 1
}

keep_forwarding() { # run a command; netavark turns net.ipv4.ip_forward on, put it back
  local before status=0
  before=$(cat /proc/sys/net/ipv4/ip_forward)
  "$@" || status=$?
  echo "$before" > /proc/sys/net/ipv4/ip_forward
  return "$status"
}

run_hosts() {
  local entry name suite image number=10 options
  mapfile -t options < <(capabilities)
  [ -z "${BED_VOLUME:-}" ] || options+=("--volume=$BED_VOLUME")
  : > "$bed/hosts"
  for entry in "$@"; do
    name=${entry%%:*} suite=${entry##*:} number=$((number + 1))
    image=$(image "$suite")
    echo "$name $subnet.$number $suite" >> "$bed/hosts"
    # A fixed MAC: after a restart the ARP entry is still right.
    podman run -d --name "$prefix-$name" --hostname "$name" --label "bed=$prefix" --systemd=always \
      --network "$network" --ip "$subnet.$number" \
      --mac-address "$(printf '02:00:0a:d5:07:%02x' "$number")" "${options[@]}" \
      -v "$bed/authorized_keys:/etc/ssh/authorized_keys:ro" "$image" > /dev/null
  done
}

inventory() { # each host's own key is pinned
  local name address suite key
  : > "$bed/known_hosts"
  echo '[bed]' > "$bed/hosts.ini"
  while read -r name address suite; do
    key=$(podman exec "$prefix-$name" cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub)
    echo "$address $key" >> "$bed/known_hosts"
    echo "$name ansible_host=$address bed_suite=$suite" >> "$bed/hosts.ini"
  done < "$bed/hosts"
  cat >> "$bed/hosts.ini" <<INI
[bed:vars]
ansible_user=root
ansible_python_interpreter=/usr/bin/python3
# Whoever logs in there, root or not, has to be able to make it.
ansible_remote_tmp=/tmp/.ansible-\${USER}/tmp
ansible_ssh_private_key_file=$bed/id
ansible_ssh_common_args=-F /dev/null -o UserKnownHostsFile=$bed/known_hosts -o StrictHostKeyChecking=yes
INI
}

up() {
  # 128 by default; from about the 25th host on systemd hangs without a word.
  [ "$(cat /proc/sys/fs/inotify/max_user_instances)" -ge 1024 ] ||
    echo 1024 > /proc/sys/fs/inotify/max_user_instances
  [ -f "$bed/id" ] || ssh-keygen -q -t ed25519 -N '' -C bed -f "$bed/id"
  install -m 644 "$bed/id.pub" "$bed/authorized_keys"
  down
  network_up
  keep_forwarding run_hosts "$@"
  local name address _
  while read -r name address _; do wait_for_ssh "$name" "$address"; done < "$bed/hosts"
  inventory
  log "up: $*"
}

stop() { podman stop -t 60 "$prefix-$1" > /dev/null; }

start() {
  keep_forwarding podman start "$prefix-$1" > /dev/null
  wait_for_ssh "$1" "$(awk -v name="$1" '$1 == name { print $2 }' "$bed/hosts")"
}

down() {
  podman ps -aq --filter "label=bed=$prefix" | xargs -r podman rm -f -t 0 > /dev/null
  podman network rm "$network" > /dev/null 2>&1 || true
  ip link delete "${bridge}k" 2> /dev/null || true
  ip link delete "$bridge" 2> /dev/null || true
}

case ${1:-} in
  up | stop | start | down) "$@" ;;
  *) sed -n '4,13s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
esac
