#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# install.sh ARTIFACT: the artifact in build/collections, unless it lies there already.
set -euo pipefail
! cmp -s "$1" build/collections/installed.tar.gz || exit 0
rm -rf build/collections
ansible-galaxy collection install --offline --force -p build/collections "$1"
cp "$1" build/collections/installed.tar.gz
