#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# build.sh ARTIFACT: the collection's tarball, with the runner's bundle in it and bytes that its
# contents decide.
set -euo pipefail
python tools/stage.py build/stage
python build/stage/roles/runner/files/build_bundle.py --wheels build/cache/wheels > /dev/null
mkdir -p "${1%/*}"
ansible-galaxy collection build --force --output-path build/raw build/stage > /dev/null
python tools/repack.py "build/raw/${1##*/}" "$1"
echo "$1  $(sha256sum < "$1" | cut -c1-12)"
