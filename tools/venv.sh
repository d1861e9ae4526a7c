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

# Nothing is compiled before somebody imports it: of most packages that is a part.
install=(--disable-pip-version-check install --quiet --no-compile --no-deps --require-hashes)
rm -rf "$directory"
if [ "$directory" = .venv ]; then
  if ! "$python" -c 'import ensurepip' 2> /dev/null; then # Debian keeps it in a package of its own
    echo "venv.sh: $python cannot make virtual environments: apt install python$version-venv" >&2
    exit 69
  fi
  "$python" -m venv "$directory"
  # The lock's pip first: the one that came with Python takes twice as long to choose the others.
  sed -n '/^pip==/,/[^\\]$/p' "$lock" > "$directory/pip.txt"
  "$directory/bin/python" -m pip "${install[@]}" --requirement "$directory/pip.txt"
  "$directory/bin/python" -m pip "${install[@]}" --requirement "$lock"
else
  "$python" -m venv --without-pip "$directory"
  .venv/bin/python -m pip --python "$directory/bin/python" "${install[@]}" --requirement "$lock"
fi
echo "$wanted" > "$directory/.made-from"
