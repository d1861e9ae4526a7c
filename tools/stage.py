# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""stage.py DIRECTORY [--repository]: copy what git knows or would add to a new DIRECTORY.

ansible-galaxy and ansible-test walk whatever lies in a directory; this one has neither .venv nor
build in it, and a path that ansible-test accepts.  The version, which stands in galaxy.yml, is
added for the modules: on their hosts they can read no file of the collection.  --repository: make
it one of its own, because ansible-test asks git for its files and ours ignores build.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = """\
# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

\"\"\"The version of this collection, and of the runner that its role installs.\"\"\"

from __future__ import annotations

VERSION = "{}"
"""


def main(target: Path, repository: bool) -> None:
    """Copy to *target*, and make a repository of it when asked for."""
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
    galaxy = (target / "galaxy.yml").read_text(encoding="utf-8")
    (version,) = re.findall(r"^version: *(\S+)$", galaxy, re.MULTILINE)
    (target / "plugins" / "module_utils" / "_version.py").write_text(VERSION.format(version))
    if repository:
        for words in (["init", "--quiet", "--initial-branch=main"], ["add", "--all"]):
            subprocess.run(["git", "-C", target, *words], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--repository" in sys.argv)
