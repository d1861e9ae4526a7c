#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# browser.sh: the report of a fleet in Debian's Chromium.  What is skipped says why.
# browser.sh screenshots: the pictures of docs/images.
set -euo pipefail
skip=(python tools/check.py --skip)
command -v chromium chromium-browser google-chrome > /dev/null \
  || exec "${skip[@]}" browser "there is no chromium (make bootstrap)"
if ! tools/venv.sh .venv/bin/python build/venvs/browser tests/requirements/browser.txt; then
  # Whether the index or the lock is to blame.
  ! pip download -q --no-deps -d build/cache/playwright playwright || exit 1
  exec "${skip[@]}" browser "playwright cannot be installed: no package index answers"
fi
if [ "${1:-}" = screenshots ]; then
  PYTHONPATH=tests/helpers
  export PYTHONPATH
  exec build/venvs/browser/bin/python tests/browser/screenshots.py docs/images
fi
exec build/venvs/browser/bin/python -m pytest -q -rs -p no:cacheprovider tests/browser \
  --junitxml build/results/browser.xml
