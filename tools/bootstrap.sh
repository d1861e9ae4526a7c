#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# bootstrap.sh: what the checks and tests want to find on a machine, beside git and python3.
# Root on Debian or Ubuntu gets what is missing; elsewhere one line names it.  A check that cannot
# do without says so when its turn comes.
set -euo pipefail

# A command or a file that shows that it is there, and Debian's package.
wanted=(
  make:make git:git
  shellcheck:shellcheck                                                   # lint
  xz:xz-utils bzip2:bzip2 zstd:zstd openssl:openssl /usr/sbin/mkfs.btrfs:btrfs-progs # backups
  strace:strace '/usr/lib/*/faketime:libfaketime'                         # faults
  /usr/sbin/sshd:openssh-server ssh-keyscan:openssh-client memcached:memcached # storages
  chromium:chromium                                                       # browser
  podman:podman runc:runc /usr/lib/podman/netavark:netavark /usr/sbin/iptables:iptables # molecule
  prometheus:prometheus prometheus-node-exporter:prometheus-node-exporter # unit, long
  mmdebstrap:mmdebstrap ip:iproute2
  /usr/share/keyrings/debian-archive-keyring.gpg:debian-archive-keyring
)
# Debian keeps what makes virtual environments in a package for each Python.
for python in /usr/bin/python3.[0-9] /usr/bin/python3.[0-9][0-9]; do
  [ ! -x "$python" ] || "$python" -c 'import ensurepip' 2> /dev/null \
    || wanted+=("/usr/lib/${python##*/}/ensurepip:${python##*/}-venv")
done

missing() {
  local entry
  for entry in "${wanted[@]}"; do
    # shellcheck disable=SC2086 # a pattern is to be expanded
    command -v ${entry%:*} > /dev/null || ls ${entry%:*} > /dev/null 2>&1 || echo "${entry#*:}"
  done
}

mapfile -t packages < <(missing)
if [ ${#packages[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && [ -x /usr/bin/apt-get ]; then
  install=(apt-get -qq install -y --no-install-recommends)
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update || true # an index that cannot be had may still have left what it had before
  # All at once; where one of them is unknown, as many as can be had.
  "${install[@]}" "${packages[@]}" > /dev/null 2>&1 || for package in "${packages[@]}"; do
    "${install[@]}" "$package" > /dev/null || true
  done
  mapfile -t packages < <(missing)
fi
[ ${#packages[@]} = 0 ] || echo "bootstrap: some checks want more: apt install ${packages[*]}"
