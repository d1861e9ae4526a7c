#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# molecule.sh: the molecule scenario on hosts that it boots and removes again; the collection is the
# installed artifact.  Needs root on Debian or Ubuntu with podman, and says so where it is not.
set -euo pipefail
if [ "$(id -u)" != 0 ] || ! command -v podman runc mmdebstrap > /dev/null; then
  exec python tools/check.py --skip molecule "needs root on Debian, podman and mmdebstrap (make bootstrap)"
fi

export BED=$PWD/tests/bed/bed.sh BED_DIR=$PWD/build/bed
trap '"$BED" down' EXIT
"$BED" up bookworm:bookworm trixie:trixie

# The next release: the same collection with one more line in the runner.
export NEXT_COLLECTIONS=$PWD/build/next
rm -rf "$NEXT_COLLECTIONS"
cp -r build/collections "$NEXT_COLLECTIONS"
files=$NEXT_COLLECTIONS/ansible_collections/coldchain/freezer/roles/runner/files
echo '# the next release' >> "$files/coldchain/__init__.py"
python "$files/build_bundle.py" --wheels build/cache/wheels > /dev/null

export MOLECULE_EPHEMERAL_DIRECTORY=$PWD/build/molecule
rm -rf "$MOLECULE_EPHEMERAL_DIRECTORY" # the hosts are new, whatever an earlier run remembers of them
root=$PWD
cd extensions
python "$root/tools/check.py" molecule molecule test --scenario-name default
