#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# importer.sh ARTIFACT: galaxy-importer with the rules of a strict hub; a warning is a failure too.
# Without its ansible-lint: `make lint` runs the same release, with the same profile and fewer rules
# skipped, over all that is shipped.
set -euo pipefail
artifact=$(realpath "$1")
bin=$PWD/build/venvs/importer/bin
mkdir -p build/importer
cd build/importer
cat > importer.cfg <<'CONF'
[galaxy-importer]
CHECK_REQUIRED_TAGS=True
LOG_LEVEL_MAIN=INFO
RUN_ANSIBLE_DOC=True
RUN_ANSIBLE_LINT=False
RUN_ANSIBLE_TEST=False
RUN_FLAKE8=False
CONF
export GALAXY_IMPORTER_CONFIG=$PWD/importer.cfg PATH=$bin:$PATH
python -m galaxy_importer.main "$artifact" 2>&1 | tee importer.log
! grep -E '^(WARNING|ERROR)' importer.log
