# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no linter checks: the parts say the same, and the artifact holds what it must."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.coldchain.freezer.plugins.doc_fragments import _attributes, _document
from ansible_collections.coldchain.freezer.plugins.module_utils import _arguments, _cli

ROOT = Path(__file__).resolve().parents[3]
#: Documented as a module, and all of it an action.
ON_THE_CONTROLLER = {"fleet_report", "runner_plan"}
MODULES = sorted(
    {path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")} - ON_THE_CONTROLLER
)
GALAXY = yaml.safe_load((ROOT / "galaxy.yml").read_text())
RUNTIME = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())

IN_THE_ARTIFACT = {
    "MANIFEST.json",
    "FILES.json",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "CHANGELOG.rst",
    "CONTRIBUTING.md",
    "CODE_OF_CONDUCT.md",
    "changelogs",
    "docs",
    "meta",
    "playbooks",
    "plugins",
    "roles",
}


MANIFEST = json.dumps({"collection_info": {"name": "freezer", "version": "7.8.9"}}, indent=1)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]


JOB = {**_arguments.identity_options(), **_arguments.document_options()}


def options(name):
    """The documented options of a module, in the form of an argument spec."""
    module = importlib.import_module(
        "ansible_collections.coldchain.freezer.plugins.modules." + name
    )
    specs = {
        "job": JOB,
        "jobs": {**_arguments.list_options(), **_arguments.purge_options()},
    }
    documented = yaml.safe_load(module.DOCUMENTATION).get("options", {})
    spec = specs.get(name) or {
        option: {key: about[key] for key in ("type", "elements", "choices") if key in about}
        for option, about in documented.items()
    }
    if name == "restore":
        spec.update(_arguments.restore_options())
    return dict(spec, **_arguments.home_options(), **_arguments.secrets_options())


TEMPLATED = {"dict": {}, "int": 1}
"""What stands for a template where a text is none."""


def refusals(spec, values):
    """What Ansible has against the options of a task; what a template gives is not known here."""
    values = {
        name: TEMPLATED.get(spec.get(name, {}).get("type"), value) if "{{" in str(value) else value
        for name, value in values.items()
    }
    return ArgumentSpecValidator(spec).validate(values).error_messages


def test_the_version_stands_in_galaxy_yml_and_all_know_it(tmp_path):
    source = ROOT / "roles" / "runner" / "files" / "coldchain"
    for place, name, text in (
        ("checkout/roles/runner/files/coldchain", "checkout/galaxy.yml", "a: 1\nversion: 7.8.9\n"),
        ("installed/roles/runner/files/coldchain", "installed/MANIFEST.json", MANIFEST),
        ("bundle/coldchain", "bundle/coldchain/VERSION", "7.8.9\n"),
    ):
        package = tmp_path / place
        package.mkdir(parents=True)
        shutil.copy(source / "__init__.py", package)
        (tmp_path / name).write_text(text)
        told = [sys.executable, "-c", "import coldchain; print(coldchain.__version__)"]
        assert subprocess.check_output(told, cwd=package.parent, text=True) == "7.8.9\n"
    assert _cli.VERSION in (GALAXY["version"], "")


def test_the_units_of_ansible_test_get_what_the_bundle_ships():
    def wanted(path):
        lines = (ROOT / path).read_text().splitlines()
        return [line for line in lines if line and not line.startswith("#")]

    bundle = wanted("roles/runner/files/bundle-requirements.in")
    assert wanted("tests/unit/requirements.txt") == bundle


def test_the_action_group_is_all_modules():
    assert RUNTIME["action_groups"] == {"coldchain": MODULES}
    attributes = yaml.safe_load(_attributes.ModuleDocFragment.DOCUMENTATION)["attributes"]
    assert attributes["action_group"]["membership"] == ["coldchain.freezer.coldchain"]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_documentation_and_a_short_main(name):
    tree = ast.parse((ROOT / "plugins" / "modules" / (name + ".py")).read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert [node.name for node in functions] == ["main"]
    assert functions[0].end_lineno - functions[0].lineno < 30


def test_the_generated_files_are_current():
    """Change a field in the runner's table, and this asks for tools/generate_argspec.py."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "generate_argspec.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_documented_field_of_a_job_is_an_option():
    job = yaml.safe_load(_document.ModuleDocFragment.DOCUMENTATION)["options"]
    assert set(job) == set(JOB)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_are_accepted_by_the_module(name):
    """Every example is valid by the module's own options."""
    module = importlib.import_module(
        "ansible_collections.coldchain.freezer.plugins.modules." + name
    )
    tasks = [
        task.get("coldchain.freezer." + name, "none") for task in yaml.safe_load(module.EXAMPLES)
    ]
    examples = [example or {} for example in tasks if example != "none"]
    concrete = [example for example in examples if not isinstance(example.get("jobs"), str)]
    assert concrete
    for example in concrete:
        assert refusals(options(name), example) == []


def written(path):
    """Every YAML block of a page."""
    blocks = re.findall("^```yaml$(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)
    return [yaml.safe_load(block) for block in blocks]


def mappings(value):
    """Every mapping in a YAML value, however deep."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, (dict, list)):
            yield from mappings(inner)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_jobs_and_tasks_of_a_page_are_accepted(path):
    found = 0
    for each in mappings(written(path)):
        for name, value in each.items():
            if name.startswith("freezer_jobs"):
                found += len(value)
                for item in value:
                    assert refusals(JOB, item) == []
                continue
            if name.startswith("coldchain.freezer.") and isinstance(value, dict):
                assert refusals(options(name.rpartition(".")[2]), value) == []
                found += 1
    # What they are found by: else a page that is written in another way would be tried no more.
    text = path.read_text()
    assert found or not re.search(
        r"^ *(- )?(freezer_jobs\w*|coldchain\.freezer\.(job|restore)\w*):$", text, re.MULTILINE
    )


def test_the_artifact_holds_the_bundle_and_nothing_of_the_workshop(tmp_path):
    """Built from a clone that a developer has worked in."""
    clone = tmp_path / "clone"
    shutil.copytree(
        ROOT, clone, ignore=shutil.ignore_patterns(".*", "build", "__pycache__", "output")
    )
    files = clone / "roles" / "runner" / "files"
    bundle = ["coldchain-bundle.tar.gz", "coldchain-bundle.json"]
    workshop = [
        ".venv/bin/python",
        ".git/config",
        "build/x",
        "tests/output/x",
        "coldchain-freezer-0.0.1.tar.gz",
        "tools/x",
        ".ci/run",
    ]
    workshop += [
        "Makefile",
        "extensions/molecule/x.yml",
        "plugins/modules/__pycache__/job.cpython-311.pyc",
        "README.md~",
    ]
    for path in [files / name for name in bundle] + [clone / name for name in workshop]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (clone / "README.md").touch()

    command = [
        sys.executable,
        "-m",
        "ansible.cli.galaxy",
        "collection",
        "build",
        "--output-path",
        str(tmp_path),
        str(clone),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with tarfile.open(
        str(tmp_path / "coldchain-freezer-{}.tar.gz".format(GALAXY["version"]))
    ) as artifact:
        names = set(artifact.getnames())

    assert {"roles/runner/files/" + name for name in bundle} <= names
    assert {name.split("/")[0] for name in names} - IN_THE_ARTIFACT == set()
    assert [
        name for name in names if "__pycache__" in name or name.endswith("~") or "/." in name
    ] == []
