# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""freezer-agent's configuration files: INI as text to the action that it means.

freezer-agent reads every section into one action, whatever its name ([action], [default],
[job:NAME]), except for [storage:NAME], of which each is one place to keep the backup.
"""

from __future__ import annotations

import configparser
import re
from typing import Any

from coldchain.core.errors import DataError
from coldchain.document.json_path import shown
from coldchain.document.normalize import option
from coldchain.document.value_forms import OWN_WORDS, switch_of

# What Freezer's own programs write for an option that is not set.
_NOT_SET = {"False": False, "None": None}
# No list of JSON's either, of whose values only these begin with a letter.
_LIST = r"\[\s*(?:null|true|false|NaN|Infinity)\s*,"
_HEAD = re.compile(rf"(?!{_LIST})" r"\[\s*[A-Za-z][^\]\"{}]*\]\s*([#;].*)?$")
_STORAGE = "storage:"


class IniDocument(dict[str, Any]):
    """The document that an INI file means; such a file may hold secrets, a document may not."""


class _Signs(configparser.BasicInterpolation):
    """To freezer-agent, %% is a percent sign and %(NAME)s another option.  It gives up on any other
    percent sign; here it stands for itself, with all others of its line."""

    def before_get(self, parser: Any, section: str, option: str, value: str, defaults: Any) -> str:
        try:
            return super().before_get(parser, section, option, value, defaults)
        except configparser.InterpolationSyntaxError:
            return value


def is_ini(text: str) -> bool:
    """Whether the first line of *text* that is no comment is the head of a section."""
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and line[0] not in "#;"), "")
    return _HEAD.match(first) is not None


def parse_ini(text: str) -> IniDocument:
    """The document {"freezer_action": {...}} that the INI *text* means.

    Raises DataError when it is no INI, holds an option twice in one section or with different
    values, or names several storages.
    """
    parser = configparser.ConfigParser(interpolation=_Signs())
    try:
        parser.read_string(text)
        read = {section: parser.items(section) for section in parser.sections()}
    except configparser.InterpolationError as error:  # whose message would show the value
        raise DataError(
            f"{error.option} in [{error.section}] names an option that is not there",
            "write %% for a percent sign",
        ) from None
    except configparser.DuplicateOptionError as error:
        raise DataError(
            f"{error.option} is given twice in [{error.section}], again in line {error.lineno}",
            "freezer-agent reads no such file; leave out one of the two",
        ) from None
    except configparser.DuplicateSectionError as error:
        raise DataError(
            f"[{error.section}] begins twice, again in line {error.lineno}",
            "freezer-agent reads no such file; write one section",
        ) from None
    except configparser.Error as error:
        lines = " ".join(error.message.replace("'<string>'", "").split())
        hint = "write a section [action] with lines NAME = VALUE"
        raise DataError(f"not INI: {lines}", hint) from None
    if parser.defaults() and not parser.sections():
        raise DataError(
            "holds options in [DEFAULT] alone, which says what other sections have",
            "freezer-agent would read none of them; write [default], or [action]",
        )
    storages = [name for name in read if name.startswith(_STORAGE)]
    if len(storages) > 1:
        raise DataError(
            f"holds several storages: {', '.join(storages)}",
            "an action writes to one; write an action for each",
        )
    options: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for section, pairs in read.items():
        for key, word in pairs:
            name = key.replace("-", "_")
            value = _value(name, word)
            if name in options and options[name] != value:
                raise DataError(
                    f"{key} is given twice, with different values: {shown(options[name])} in"
                    f" [{origins[name]}] and {shown(value)} in [{section}]",
                    "freezer-agent makes one action of all sections; leave out one of the two",
                )
            options[name], origins[name] = value, section
    return IniDocument(freezer_action=options)


def _value(name: str, word: str) -> Any:
    """What *word* is for the option *name*: INI has no quotes, so its field alone tells a text from
    a switch, and the command true from a setting."""
    if word in _NOT_SET:
        return _NOT_SET[word]
    field = option(name)
    if field is not None and field.type == "bool":
        switch = switch_of(word)
        return word if switch is None else switch
    own = field is not None and field.name in OWN_WORDS
    return False if word == "false" and not own else word
