#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# core.sh CORE: an environment with another release of ansible-core (2.20.10, say); prints its path.
set -euo pipefail
core=$1 venv=$PWD/build/venvs/core-$1
case $core in 2.18.* | 2.19.*) base=python3.11 ;; *) base=python3.12 ;; esac
if [ ! -x "$venv/bin/ansible-test" ]; then
  "build/pythons/$base" -m venv --without-pip "$venv"
  .venv/bin/python -m pip --python "$venv/bin/python" install -q --no-compile "ansible-core==$core" >&2 \
    || { rm -rf "$venv"; exit 69; }
fi
echo "$venv"
