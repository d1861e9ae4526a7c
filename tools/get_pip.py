# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacks pip from the wheel beside this file, which is all that an installation of it is.

ansible-test finds it in its cache as get_pip_X_Y.py, and calls it for each of its environments.  It
would fetch get-pip.py from a site of its own, which a machine with nothing but a package index does
not reach.

In those environments Python looks for cycles in memory rarely: pylint makes millions of objects
that all stay, and spends a third of its time looking through them again.
"""

from __future__ import annotations

import compileall
import os
import runpy
import shutil
import sys
import sysconfig
import tempfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
VERSION = os.path.basename(__file__)[len("get_pip_") : -len(".py")].replace("_", ".")
LIBRARY = sysconfig.get_path("purelib")
# What each environment would unpack and compile anew.
READY = os.path.join(HERE, f"pip-{VERSION}-{sys.implementation.cache_tag}")
if not os.path.isdir(READY):
    with tempfile.TemporaryDirectory(dir=HERE) as directory:
        place = os.path.join(directory, "pip")
        with zipfile.ZipFile(os.path.join(HERE, f"pip-{VERSION}-py3-none-any.whl")) as wheel:
            wheel.extractall(place)
        compileall.compile_dir(place, quiet=2)
        try:
            os.rename(place, READY)
        except OSError:
            if not os.path.isdir(READY):  # by another one at the same time
                raise
shutil.copytree(READY, LIBRARY, dirs_exist_ok=True)
with open(os.path.join(LIBRARY, "garbage.pth"), "w", encoding="ascii") as hook:
    hook.write("import gc; gc.set_threshold(100000, 50, 50)\n")
more = [word for word in sys.argv[1:] if not word.startswith(("--", "pip=="))]
if more:
    sys.argv = ["pip", "install", *more]
    runpy.run_module("pip", run_name="__main__", alter_sys=True)
