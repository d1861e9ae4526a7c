# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacks pip from the wheel beside this file, which is all that an installation of it is.

ansible-test finds it in its cache as get_pip_X_Y.py, and calls it for each of its environments.  It
would fetch get-pip.py from a site of its own, which a machine with nothing but a package index does
not reach.
"""

from __future__ import annotations

import os
import runpy
import sys
import sysconfig
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
VERSION = os.path.basename(__file__)[len("get_pip_") : -len(".py")].replace("_", ".")
with zipfile.ZipFile(os.path.join(HERE, f"pip-{VERSION}-py3-none-any.whl")) as wheel:
    wheel.extractall(sysconfig.get_path("purelib"))
more = [word for word in sys.argv[1:] if not word.startswith(("--", "pip=="))]
if more:
    sys.argv = ["pip", "install", *more]
    runpy.run_module("pip", run_name="__main__", alter_sys=True)
