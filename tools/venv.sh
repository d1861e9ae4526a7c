#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# venv.sh PYTHON DIRECTORY LOCK: a virtual environment that holds exactly what the lock names.
# Does nothing when DIRECTORY was made from the same lock and the same Python.
set -euo pipefail
python=$1 directory=$2 lock=$3

mkdir -p "$(dirname "$directory")"
exec {lock_of_directory}> "$directory.lock" # make -j: two targets may want the same one
flock "$lock_of_directory"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
wanted="$version $(sha256sum < "$lock")"
[ "$(cat "$directory/.made-from" 2> /dev/null)" = "$wanted" ] && exit

if ! "$python" -c 'import ensurepip' 2> /dev/null; then # Debian keeps it in a package of its own
  echo "venv.sh: $python cannot make virtual environments: apt install python$version-venv" >&2
  exit 69
fi
rm -rf "$directory"
"$python" -m venv "$directory"
"$directory/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
  --require-hashes --requirement "$lock"
echo "$wanted" > "$directory/.made-from"
