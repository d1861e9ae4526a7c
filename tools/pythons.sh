#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# pythons.sh DIRECTORY: link every Python 3.8 to 3.14 that really runs into DIRECTORY, and list those
# from 3.9 on.  pyenv's shims answer "command not found" for all but the chosen versions, and
# ansible-test stumbles over them; the links stand before them in PATH.
set -euo pipefail
mkdir -p "$1"
root=${PYENV_ROOT:-$HOME/.pyenv}/versions
for minor in 8 9 10 11 12 13 14; do
  name=python3.$minor
  for candidate in "/usr/bin/$name" "/usr/local/bin/$name" "$root"/3."$minor".*/bin/"$name" \
    "$(command -v "$name" || true)"; do
    [ -x "$candidate" ] || continue
    [ "$candidate" = "$1/$name" ] && continue
    "$candidate" -c 'import sys; sys.exit(sys.version_info[1] != '$minor')' 2> /dev/null || continue
    [ "$(readlink "$1/$name")" = "$candidate" ] || ln -sfn "$candidate" "$1/$name"
    [ "$minor" = 8 ] || echo "3.$minor"
    break
  done
done
