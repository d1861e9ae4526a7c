# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write docs/reference/document.md from the runner's field table.

python3 tools/generate_reference.py            write it
python3 tools/generate_reference.py --check    write nothing; exit 1 when it is not current
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "roles" / "runner" / "files"))

from coldchain.cli.vocabulary import vocabulary
from coldchain.document.fields import FORMATS, LEVELS, Field, choices_of
from coldchain.document.freezer_options import OF_THE_LOG, SECRETS, UNSUPPORTED, WITHOUT_EFFECT
from coldchain.document.normalize import INVERTED

TARGET = ROOT / "docs" / "reference" / "document.md"

HEAD = """\
<!-- Written by tools/generate_reference.py from the field table of the runner: change that. -->

# The job document

A job document is OpenStack Freezer's: `job_actions` with a `freezer_action` each, and a
`job_schedule`. `coldchain validate --schema` prints the same as a JSON Schema (draft 2020-12);
`coldchain validate FILE` checks a document and shows its canonical form.

```json
{
  "job_id": "etc-daily",
  "description": "configuration of the host",
  "job_actions": [
    {
      "freezer_action": {
        "action": "backup",
        "path_to_backup": "/etc",
        "backup_name": "etc",
        "container": "daily",
        "max_level": 6
      },
      "max_retries": 2
    }
  ],
  "job_schedule": {
    "schedule_hour": 3,
    "schedule_minute": 25,
    "schedule_timezone": "Europe/Berlin"
  }
}
```

## What is accepted beside it

* The `{"job": {...}}` wrapper, a single object instead of a list of actions, a bare
  `{"freezer_action": {...}}`, dashes instead of underscores, and the older names in the tables:
  each with a warning that tells today's way.
* `null` for "not set"; JSON `false` for a text or a number that is not set (Freezer makes the text
  "False" of it). In an action, `null` leaves the field to `action_defaults`; `false` and `""` do
  not.
* Numbers for cron-like fields.
* What other programs write as text, where its meaning is certain:

  | written | true or false | a number | a text |
  |---|---|---|---|
  | `"true"`, `"yes"`, `"on"`, in any case | true, with a warning | an error | that text |
  | `"false"` in any case | false, with a warning | not set, with a warning | that text |
  | `"no"`, `"off"`, in any case | false, with a warning | an error | that text |
  | `"0"`, `"1"` | false, true, with a warning | 0, 1 | that text |
  | `"5"`, `"5.0"` | an error | 5 | that text |
  | `"None"`, `"null"` in any case | not set, with a warning | the same | that text |
  | `""`, blanks | not set | not set | `""`: not set |
  | `0`, `1` | false, true | 0, 1 | that number as text |
  | `true` | true | an error | an error |

* In freezer-agent's INI, which has no quotes, the field decides: `sync = no` is false, and
  `command = true`, `backup_name = 2024` and `container = null` are texts. `None` and `False` mean
  "not set" for every text and number, because Freezer's programs write them so, and so does `false`
  for all texts but `backup_name`, `container`, `path_to_backup`, `command` and `user`.

Unknown fields are errors. All errors of a document come in one answer.

## What follows from what

* `action_defaults` are merged into each action where it does not set the field itself.
* `incremental` is true as soon as a level option (`max_level`, `always_level`,
  `restart_always_level`) is given; false together with one is an error.
* A `backup` needs `path_to_backup`, a `restore` needs `restore_abs_path`, `exec` needs `command`,
  `admin` needs one of `remove_older_than` and `remove_before_date`.
* Of several kinds of schedule `schedule_date` counts before `schedule_interval`, and that before
  the cron-like fields. All cron-like fields have to match. A schedule that can never fire is an
  error, one that lies in the past a warning.
* In `schedule_day_of_week` 0 is Monday, as in Freezer, and not Sunday as in cron: names are safer.
* `client_id`, when given, has to be the host's own, alone or as Freezer writes it with the project
  in front.
* A `status` of `stop` keeps the job without scheduling it; the others of Freezer's API
  (`completed`, `running`, `aborting`, `aborted`) are facts and mean `scheduled`, with a warning;
  an `event` is dropped with a warning, but `start` lets a job run in spite of its `status`, as in
  Freezer's manual. What a run has left in a
  document (`result`, `time_started`, `time_ended`) is taken over when the job is new to the host.
* Other names for one meaning, another order and other types make no difference: the canonical form
  is the same, and applying it changes nothing.
"""


def reference() -> str:
    """The page about the job document."""
    parts = [HEAD]
    for level, fields in LEVELS.items():
        parts.append(f"## {level}\n\n{_table([field for field in fields if not field.read_only])}")
        facts = [field for field in fields if field.read_only]
        if facts:
            parts.append(f"Left by runs, accepted and not declared:\n\n{_table(facts)}")
    effectless = ", ".join(f"`{name}`" for name in sorted(WITHOUT_EFFECT - OF_THE_LOG))
    refused = ", ".join(f"`{name}`" for name in sorted(UNSUPPORTED))
    secret = ", ".join(f"`{name}`" for name in sorted(SECRETS))
    parts.append(
        "## Options of freezer-agent that are not here\n\n"
        "One that says nothing (null, false, empty, -1, or Freezer's own default) is dropped in"
        " silence, and so are the options of its log (oslo.log). `project_id`, `user_id` and"
        " `action_id`, which Freezer's API puts into actions, are left out with a note.\n\n"
        f"Left out with a warning, because they have no effect here: {effectless}.\n\n"
        f"Refused in every mode, with what to do instead: {refused}.\n\n"
        f"Refused because a document is no place for secrets, [storages](../guide/storages.md) says"
        f" where they belong: {secret}.\n"
    )
    return "\n".join(parts)


def _table(fields: list[Field]) -> str:
    lines = ["| field | type | default | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{field.name}`{' (required)' if field.required else ''} | {_type(field)}"
        f" | {_default(field)} | {_meaning(field)} |"
        for field in fields
    ]
    return "\n".join(lines) + "\n"


def _type(field: Field) -> str:
    if field.nested:
        return (
            f"list of [{field.nested}](#{field.nested})"
            if field.elements
            else f"[{field.nested}](#{field.nested})"
        )
    choices = choices_of(field, vocabulary())
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices if choice)
    words = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
    kind = {"list": "list of texts", "dict": "object of texts", "raw": FORMATS["texts"]}
    text = FORMATS.get(field.format) or words.get(field.type) or kind[field.type]
    bounds = [
        f"{word} {bound}"
        for word, bound in (("at least", field.minimum), ("at most", field.maximum))
        if bound is not None
    ]
    return _escaped(", ".join([text, *bounds]))


def _default(field: Field) -> str:
    return "" if field.default is None else f"`{json.dumps(field.default)}`"


def _meaning(field: Field) -> str:
    text = _escaped(re.sub(r"[CO]\(([^)]*)\)", r"`\1`", " ".join(field.description)))
    old = [*field.aliases, *(name for name, today in INVERTED.items() if today == field.name)]
    if old:
        names = ", ".join(
            f"`{name}`" + (" (the opposite)" if name in INVERTED else "") for name in old
        )
        text += f" Older: {names}."
    return text + (" Not in Freezer." if field.extension else "")


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


def main() -> int:
    """Write the pages that have changed, or with --check only name them; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    current = TARGET.read_text(encoding="utf-8") if TARGET.exists() else ""
    if current == reference():
        return 0
    if check:
        print(f"{TARGET}: not current; run tools/generate_reference.py", file=sys.stderr)
        return 1
    TARGET.write_text(reference(), encoding="utf-8")
    print(f"{TARGET}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
