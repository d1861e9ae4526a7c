#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# sanity.sh [CORE]: ansible-test sanity, with .venv's ansible-core or another one (2.20.10, say).
# What is shipped and the modules' tests: ruff and mypy look after the rest.
set -euo pipefail
core=${1:-} name=sanity
if [ -n "$core" ]; then
  name=sanity-$core venv=$(tools/core.sh "$core")
  export PATH=$venv/bin:$PATH
fi
options=(--color no --junit --exclude tools/)
for folder in bed benchmarks browser faults fleet helpers integration interop storages unit/{roles,runner,tools}; do
  options+=(--exclude "tests/$folder/")
done
exec tools/ansible_test.sh "$name" sanity "${options[@]}"
