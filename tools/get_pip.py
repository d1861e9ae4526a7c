# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs pip from the wheel beside this file.

ansible-test finds it in its cache as get_pip_X_Y.py.  It would fetch get-pip.py from a site of its
own, which a machine with nothing but a package index does not reach.
"""

from __future__ import annotations

import os
import runpy
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
VERSION = os.path.basename(__file__)[len("get_pip_") : -len(".py")].replace("_", ".")
sys.path.insert(0, os.path.join(HERE, f"pip-{VERSION}-py3-none-any.whl"))
arguments = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
sys.argv = ["pip", "install", "--find-links", HERE, *arguments]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
