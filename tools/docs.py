# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs.py SITE: the documentation as HTML in the directory SITE; a warning is a failure.

antsibull-docs writes the pages of plugins and roles from the installed collection, sphinx makes
HTML of them and of the pages in docs/ that are for users.  Nothing is fetched: no intersphinx.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "build" / "docs"
# In the order in which somebody new reads them.
GUIDES = ["quick-start", "jobs", "slots", "storages", "morning", "report", "alerts", "monitoring"]
GUIDES += ["restore", "from-freezer", "from-cron", "air-gap", "awx", "upgrade", "retire"]

CONF = """\
project = title = html_title = html_short_title = "coldchain.freezer"
copyright = "coldchain.freezer contributors"
extensions = ["sphinx.ext.intersphinx", "sphinx_antsibull_ext", "myst_parser"]
intersphinx_mapping = {}
pygments_style = "ansible"
html_theme = "sphinx_ansible_theme"
html_theme_options = {"vcs_pageview_mode": "", "documentation_home_url": "", "topbar_links": {}}
html_show_sphinx = False
myst_heading_anchors = 4
default_role = "any"
nitpicky = True
"""
#: Labels of ansible-core's documentation, to which antsibull-docs refers.
ELSEWHERE = """\
:orphan:

.. _action_plugins:
.. _ansible_configuration_settings:
.. _common_return_values:

In Ansible's own documentation
==============================

- `Action plugins <https://docs.ansible.com/ansible/latest/plugins/action.html>`_
- `Configuration <https://docs.ansible.com/ansible/latest/reference_appendices/config.html>`_
- `Common return values <https://docs.ansible.com/ansible/latest/reference_appendices/common_return_values.html>`_
"""
INDEX = """\
coldchain.freezer
=================

Backup, restore and exec jobs for a fleet of Linux hosts, declared with Ansible in the job format of
OpenStack Freezer.

.. toctree::
   :maxdepth: 1
   :caption: Guides

{guides}

.. toctree::
   :maxdepth: 1
   :caption: Reference

{reference}
   recovery

.. toctree::
   :maxdepth: 1
   :caption: Modules, roles and filters

   collections/index
"""


def main(site: Path) -> int:
    """Build the site; returns the exit code of what has failed first, else 0."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    SOURCE.mkdir(parents=True)
    pages = copied()
    guides = [f"guide/{name}" for name in GUIDES]
    lost = {page for page in pages if page.startswith("guide/")} ^ set(guides)
    if lost:
        sys.exit(f"docs.py: GUIDES and docs/guide differ in {', '.join(sorted(lost))}")
    reference = [page for page in pages if page.startswith("reference/")]
    (SOURCE / "elsewhere.rst").write_text(ELSEWHERE, encoding="utf-8")
    (SOURCE / "conf.py").write_text(CONF, encoding="utf-8")
    (SOURCE / "index.rst").write_text(
        INDEX.format(guides=listed(guides), reference=listed(reference)), encoding="utf-8"
    )
    made = SOURCE / "made"
    made.mkdir()
    plugins = SOURCE / "collections"
    plugins.mkdir(mode=0o755)  # antsibull-docs wants nobody else to write there
    antsibull = "antsibull-docs collection --use-current --no-indexes --squash-hierarchy"
    words = [*antsibull.split(), "--fail-on-error", "--dest-dir", str(plugins), "coldchain.freezer"]
    sphinx = ["sphinx-build", "-M", "html", str(SOURCE), str(made), "--quiet", "-W", "--keep-going"]
    for command in (words, [*sphinx, "-j", str(len(os.sched_getaffinity(0)))]):
        done = subprocess.run(command, check=False)
        if done.returncode:
            return done.returncode
    shutil.rmtree(site, ignore_errors=True)
    shutil.copytree(made / "html", site)
    print(f"{site / 'index.html'}: {len(list(site.rglob('*.html')))} pages")
    return 0


def copied() -> list[str]:
    """Copy what is for users, the pages without their licence; the pages' names."""
    names = []
    for path in sorted((ROOT / "docs").rglob("*.*")):
        name = path.relative_to(ROOT / "docs")
        if name.parts[0] in ("decisions", "docsite"):
            continue
        (SOURCE / name).parent.mkdir(exist_ok=True)
        if name.suffix != ".md":
            shutil.copyfile(path, SOURCE / name)  # what a page links to is downloaded
            continue
        text = re.sub(r"\A<!--.*?-->\n+", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        (SOURCE / name).write_text(text, encoding="utf-8")
        names.append(name.with_suffix("").as_posix())
    return names


def listed(names: list[str]) -> str:
    """The lines of a toctree."""
    return "\n".join(f"   {name}" for name in names)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
