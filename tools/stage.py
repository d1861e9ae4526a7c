# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""stage.py DIRECTORY: copy the files that git knows or would add into a fresh DIRECTORY.

ansible-galaxy and ansible-test walk whatever lies in a directory; this one has neither .venv nor
build in it, and a path that ansible-test accepts.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path


def main(target: Path) -> None:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    shutil.rmtree(target, ignore_errors=True)
    for name in filter(None, listing.split("\0")):
        source = Path(name)
        if source.is_file():  # a deleted file is in git's index until the next commit
            (target / source).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / source, follow_symlinks=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
