#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# locks.sh [NAME...]: renew the locked requirements: the bundle's and all of tests/requirements, or
# those of one name; --keep as the first word keeps the versions that a lock has and can keep.
set -euo pipefail
upgrade=--upgrade
[ "${1:-}" != --keep ] || { upgrade= && shift; }
python -m venv build/venvs/uv
build/venvs/uv/bin/pip install -q uv
compile() { # NAME OPTION...
  "$uv" pip compile -q ${upgrade:+"$upgrade"} --generate-hashes --no-header --no-annotate \
    "${@:2}" -o "$1.txt" "$1.in"
}
uv=$PWD/build/venvs/uv/bin/uv
[ $# -gt 0 ] || {
  (cd roles/runner/files && compile bundle-requirements --python-platform linux --python-version 3.9)
  set -- runner tools newest importer freezer storages swift mutants docs browser
}
cd tests/requirements
for name in "$@"; do
  compile "$name" --universal --python-version "$([ "$name" = runner ] && echo 3.9 || echo 3.11)"
done
