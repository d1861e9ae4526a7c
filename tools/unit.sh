#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# unit.sh: the runner's unit tests but the long ones, with coverage, which has to be 90 %.
# unit.sh long: the long ones, property tests most of them, with all their examples.  Not measured:
#   coverage takes as long again, and they reach nothing that the others don't.
# unit.sh VERSION: a tenth of the examples, a fifth of the cases on another Python (3.12, say) with the bundle's libraries,
#   or with today's (newest) on that of the newest distribution, 3.13, or on .venv's where it is not
#   installed: whether the code runs there at all is the question.  One run asks for both;
#   `make units-all` tells apart which of them a failure is about.  Of what starts processes the
#   oldest Python tries a tenth, a fifth of the daemon's: tar, shells and signals are the same.  On
#   the newest one of a distribution the hosts of `make molecule` do it, and the libraries have no
#   part in it.
set -euo pipefail
pytest=(-m pytest -q --junitxml "build/results/unit${1:+-$1}.xml")
parallel=(-n auto --dist worksteal)
# Where a test hangs: in the log, and the others go on.
hanging=(-o faulthandler_timeout=1500 -o faulthandler_exit_on_timeout=true)
# They make and remove small trees by the ten thousand, and on a disk wait for three quarters of the
# time.  There the oldest Python tries its part, and `make torture` all.
in_memory() {
  if [ "$(df --output=avail /dev/shm 2> /dev/null | tail -n 1)0" -gt 40000000 ]; then
    TMPDIR=$(mktemp -d /dev/shm/coldchain.XXXXXX)
    chmod 1777 "$TMPDIR" # as /tmp is: some tests act as an ordinary user
    export TMPDIR
    trap 'rm -rf "$TMPDIR"' EXIT
  fi
}
if [ $# = 0 ]; then
  in_memory
  export COVERAGE_RCFILE=tests/coverage.ini
  rm -rf build/coverage
  coverage run "${pytest[@]}" "${parallel[@]}" "${hanging[@]}" -m "not long" tests/unit/runner tests/unit/roles tests/unit/tools
  coverage combine --quiet
  python tools/check.py coverage coverage report
  exit
fi
if [ "$1" = long ]; then
  in_memory
  # To collect the other files, which hold none, each worker takes two seconds.
  mapfile -t files < <(grep -rl --include='test_*.py' 'mark\.long' tests/unit/runner | sort)
  python "${pytest[@]}" "${parallel[@]}" "${hanging[@]}" -m long "${files[@]}"
  exit
fi
version=$1 base=build/pythons/python$1 lock=runner
if [ "$version" = newest ]; then
  lock=newest base=build/pythons/python3.13
  [ -x "$base" ] || base=.venv/bin/python
elif [ "$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')" = "$version" ]; then
  exit # that is the first form
elif [ ! -x "$base" ]; then
  python tools/check.py --skip "unit-python$version" "python$version is not installed"
  exit
fi
tools/venv.sh "$base" "build/venvs/unit-$version" "tests/requirements/$lock.txt"
# To compile the tests so that they tell the values of what they compare takes as long as half of
# them do, and each worker does it: here the local variables are told of a failure.
pytest+=(--assert plain --showlocals)
if tools/pythons.sh build/pythons | sed -n 1p | grep -x "$version" > /dev/null; then
  pytest+=("${parallel[@]}" --sample)
else
  in_memory
  pytest+=(--quick)
  pytest+=(--ignore tests/unit/runner/agent --ignore tests/unit/runner/runner)
  pytest+=(--ignore tests/unit/runner/cli --ignore tests/unit/runner/execution)
  pytest+=(--ignore tests/unit/runner/test_own_program.py)
fi
"build/venvs/unit-$version/bin/python" "${pytest[@]}" -m "not long" -p no:cacheprovider tests/unit/runner
