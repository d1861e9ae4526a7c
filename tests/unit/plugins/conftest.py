# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules run in this process; only the host's ``coldchain`` command is a stand-in."""

from __future__ import annotations

import functools
import importlib
import json
import os
import sys
import types
from pathlib import Path

import pytest
import yaml
from ansible.module_utils import basic

ROOT = Path(__file__).resolve().parents[3]

# Under ansible-test the settings of pytest are not ours, and so the helpers are not on its path.
sys.path.append(str(ROOT / "tests" / "helpers"))

import collection_tree
import guardian

guardian.start()


def pytest_unconfigure() -> None:
    guardian.stop()


try:
    importlib.import_module("ansible_collections.coldchain.freezer.plugins.modules.job")
except ImportError:
    collection_tree.make_importable()

COMMAND = """#!{python} -IS
import json, os, sys
here = os.path.dirname(os.path.abspath(__file__))
arguments = sys.argv[1:]
if arguments == ["--version"]:
    print("coldchain", open(os.path.join(here, "version")).read())
    sys.exit(0)
text = sys.stdin.read() if "-" in arguments else ""
with open(os.path.join(here, "calls"), "a") as calls:
    calls.write(json.dumps([arguments, json.loads(text) if text else None]) + "\\n")
for answer in json.load(open(os.path.join(here, "answers"))):
    if arguments[1:1 + len(answer["to"])] == answer["to"]:
        sys.stdout.write(answer["out"])
        sys.stderr.write(answer["err"])
        if answer["code"] < 0:
            os.kill(os.getpid(), -answer["code"])
        sys.exit(answer["code"])
sys.exit("no answer is prepared for %r" % (arguments,))
"""


class Host:
    """An installation whose command gives prepared answers and remembers what it was asked."""

    def __init__(self, home: Path) -> None:
        self.home = str(home)
        self.bin = home / "bin"
        self._answers: list[dict[str, object]] = []

    def install(self, version: str = "0.1.0") -> None:
        self.bin.mkdir(parents=True)
        command = self.bin / "coldchain"
        command.write_text(COMMAND.format(python=sys.executable))
        command.chmod(0o755)
        (self.bin / "version").write_text(version)
        (self.bin / "answers").write_text("[]")

    def answers(
        self, *to: str, data: object = None, code: int = 0, out: str | None = None, err: str = ""
    ) -> None:
        """What a call whose arguments start with ``to`` gets; the first that fits counts."""
        text = json.dumps(data) if out is None else out
        self._answers.append({"to": list(to), "out": text, "err": err, "code": code})
        (self.bin / "answers").write_text(json.dumps(self._answers))

    def refuses(
        self, *to: str, code: int, message: str, hint: str = "", errors: object = ()
    ) -> None:
        self.answers(
            *to,
            code=code,
            data={
                "error": {"code": code, "message": message, "hint": hint, "errors": list(errors)}
            },
        )

    @property
    def calls(self) -> list[list[object]]:
        """[[arguments, JSON on stdin or None], ...] in order."""
        path = self.bin / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host on which the runner is installed."""
    installed = Host(tmp_path / "home")
    installed.install()
    return installed


@pytest.fixture
def bare_host(tmp_path: Path) -> Host:
    """A host on which it is not."""
    return Host(tmp_path / "home")


class Ended(Exception):
    def __init__(self, result: dict[str, object]) -> None:
        super().__init__(result)
        self.result = result


#: What a RETURN says; to read one takes longer than to run its module.
_read = functools.cache(yaml.safe_load)


def as_documented(module: types.ModuleType, result: dict[str, object]) -> None:
    """What RETURN says is what comes back: in every test, of success, failure and check mode."""
    documented = _read(module.RETURN)
    failed = result["failed"]
    if "text" in result:
        documented = {
            key: about
            for key, about in documented.items()
            if about["returned"] != "success unless O(as_text=true)"
        }
    when = {key: about["returned"].partition(" unless ")[0] for key, about in documented.items()}
    always = "always" if failed else ("always", "success")
    expected = {key for key, returned in when.items() if returned.startswith(always)}
    only = {key for key, returned in when.items() if returned == "success"}
    present = result.keys() - {"failed", "changed", "diff", "invocation"}
    assert present <= {*documented, "msg"}, f"not in RETURN: {present - set(documented)}"
    assert expected <= present, f"promised by RETURN: {expected - present}"
    assert not (failed and present & only), f"RETURN knows no failure with {present & only}"
    for key in present & documented.keys():
        inner = documented[key].get("contains")
        rows = result[key] if isinstance(result[key], list) else [result[key]]
        for row in rows if inner else ():
            assert (row or {}).keys() <= inner.keys(), f"not in RETURN: {key} {row}"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    """run(module, check=False, **arguments) -> its result, with "failed" and "warnings"."""

    def run_module(
        module: types.ModuleType, check: bool = False, **arguments: object
    ) -> dict[str, object]:
        warnings: list[str] = []

        def exit_json(_self: object, **result: object) -> None:
            raise Ended(dict(result, failed=False))

        def fail_json(_self: object, msg: str, **result: object) -> None:
            raise Ended(dict(result, msg=msg, failed=True))

        arguments = dict(
            arguments,
            _ansible_check_mode=check,
            _ansible_remote_tmp=os.environ.get("TMPDIR", "/tmp"),
        )
        given = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
        with monkeypatch.context() as patch:
            patch.setattr(basic, "_ANSIBLE_ARGS", given)
            patch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
            patch.setattr(basic.AnsibleModule, "exit_json", exit_json)
            patch.setattr(basic.AnsibleModule, "fail_json", fail_json)
            patch.setattr(basic.AnsibleModule, "warn", lambda _self, text: warnings.append(text))
            with pytest.raises(Ended) as ended:
                module.main()
        # As Ansible does it: what cannot become JSON is no result.
        result = json.loads(json.dumps(ended.value.result))
        as_documented(module, result)
        return dict(result, warnings=warnings)

    return run_module
