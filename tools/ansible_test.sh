#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# ansible_test.sh NAME COMMAND...: run "ansible-test COMMAND..." in a staged tree of its own; its JUnit
# files go to build/results, its caches to build/home.
set -euo pipefail
name=$1
shift
root=$PWD
tree=$root/build/trees/$name/ansible_collections/coldchain/freezer
export HOME=$root/build/home LC_ALL=C.UTF-8
cache=$HOME/.ansible/test/cache
mkdir -p "$cache" build/results

for version in 24.2 25.2; do
  [ -f "$cache/pip-$version-py3-none-any.whl" ] || python -m pip download --quiet --no-deps \
    --disable-pip-version-check --dest "$cache" --require-hashes \
    --requirement <(grep "^pip==$version " tests/requirements/get-pip.txt)
  cp tools/get_pip.py "$cache/get_pip_${version/./_}.py"
done

python tools/stage.py "$tree" --repository
cd "$tree"
rm -rf tests/output/junit
status=0
ansible-test "$@" || status=$?
for file in tests/output/junit/*.xml; do
  [ -f "$file" ] && cp "$file" "$root/build/results/$name-${file##*/}"
done
exit "$status"
