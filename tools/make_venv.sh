#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# make_venv.sh PYTHON: .venv, with the tools as they are locked and the command of the working tree.
set -euo pipefail
base=$(type -ap "$1" | grep -v "^$PWD/") || {
  echo "make: no $1: apt install python3" >&2
  exit 69
}
base=${base%%$'\n'*}
"$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "make: $base is too old for ansible-core: name another one: make PYTHON=python3.12" >&2
  exit 69
}
tools/venv.sh "$base" .venv tests/requirements/tools.txt
install -m 755 tools/coldchain .venv/bin/coldchain
touch .venv/.made-from
