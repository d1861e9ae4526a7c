#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# image.sh SUITE TAR: a Debian root file system that boots systemd and answers SSH.
# Nothing that the runner could use by accident is in it: no pip, no venv, no compiler; rclone is for
# the jobs that name a storage elsewhere.  The user admin may become root with sudo, without a password.
set -euo pipefail
suite=$1 tar=$2

# The hosts have no way out to a clock or a mirror, and no console: their units would only fail.
masked=(apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
  getty@tty1.service console-getty.service systemd-timesyncd.service)

files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT
# Every host makes its own key at its first boot; the image carries none.
cat > "$files/ssh-hostkey.service" <<'UNIT'
[Unit]
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key
[Install]
WantedBy=multi-user.target
UNIT
cat > "$files/10-bed.conf" <<'SSHD'
PermitRootLogin prohibit-password
HostKey /etc/ssh/ssh_host_ed25519_key
MaxStartups 100
UseDNS no
# The one that bed.sh mounts; admin may not read root's.
AuthorizedKeysFile /etc/ssh/authorized_keys
SSHD

# shellcheck disable=SC2016  # the hooks are expanded by mmdebstrap's shell, $1 is the new root
mmdebstrap --quiet --variant=minbase \
  --include=systemd,systemd-sysv,dbus,python3,tzdata,openssh-server,procps,rclone,sudo \
  --aptopt='Acquire::Check-Valid-Until "false"' \
  --aptopt='Acquire::Languages "none"' \
  --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt=force-unsafe-io \
  --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --customize-hook='rm -f "$1"/etc/ssh/ssh_host_*' \
  --customize-hook="copy-in $files/ssh-hostkey.service /etc/systemd/system" \
  --customize-hook='chroot "$1" systemctl enable -q ssh-hostkey.service' \
  --customize-hook='chroot "$1" useradd --create-home --shell /bin/sh admin' \
  --customize-hook='echo "admin ALL=(ALL) NOPASSWD: ALL" > "$1"/etc/sudoers.d/admin' \
  --customize-hook="copy-in $files/10-bed.conf /etc/ssh/sshd_config.d" \
  --customize-hook='for u in '"${masked[*]}"'; do chroot "$1" systemctl mask -q "$u" || true; done' \
  --customize-hook='mkdir -p "$1"/var/log/journal; : > "$1"/etc/machine-id' \
  "$suite" "$tar"
