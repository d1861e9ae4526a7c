#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# fleet.sh CORE...: five booted hosts over SSH, and the playbooks with these releases of ansible-core.
# What is skipped says why.
set -euo pipefail
for core in "$@"; do
  tools/core.sh "$core" > /dev/null || python tools/check.py --skip "core-$core" "ansible-core $core cannot be installed"
done
# The real freezer-scheduler, for a host that has the same Python: the hosts mount it, and cannot
# keep there what they compile.
if ! tools/pythons.sh build/pythons | grep -x 3.11 > /dev/null \
  || ! tools/venv.sh build/pythons/python3.11 build/venvs/freezer tests/requirements/freezer.txt; then
  python tools/check.py --skip fleet-adopt "freezer-scheduler needs Python 3.11 and a package index"
else
  build/venvs/freezer/bin/freezer-scheduler --version > /dev/null 2>&1
fi
# The other releases of ansible-core while the hosts boot: a worker for each file.
pytest -q -rs -n 2 --dist loadfile tests/fleet --junitxml build/results/fleet.xml
