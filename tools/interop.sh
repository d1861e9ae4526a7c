#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# interop.sh: our backups and those of the real freezer-agent, which has 88 packages and a Python of
# its own.  Skipped where no index answers or none of its Pythons is here.
set -euo pipefail
skip=(python tools/check.py --skip interop)
base=$(tools/pythons.sh build/pythons | grep -xE '3\.1[123]') || true
base=${base%%$'\n'*}
[ -n "$base" ] || exec "${skip[@]}" "freezer-agent needs Python 3.11, 3.12 or 3.13"
if ! tools/venv.sh "build/pythons/python$base" build/venvs/freezer tests/requirements/freezer.txt; then
  # Whether the index or the lock is to blame.
  ! pip download -q --no-deps -d build/cache/freezer freezer==19.0.0 || exit 1
  exec "${skip[@]}" "freezer-agent cannot be installed: no package index answers"
fi
# Both compile what they import, and the tests have a right to programs that start at once.
for program in agent scheduler; do
  "build/venvs/freezer/bin/freezer-$program" --version > /dev/null 2>&1
done
pytest -q tests/interop --junitxml build/results/interop.xml
