# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command as one text: words, quotes and pipes as a shell reads them, nothing else.  Pure."""

from __future__ import annotations

#: What a shell would act upon outside of quotes, beside the pipe.
_SIGNS = frozenset("><;&$`~*?()\n")
_BLANKS = frozenset(" \t\r")
#: What a backslash takes the meaning of within double quotes.
_ESCAPED = frozenset('$`"\\\n')

WAYS_OUT = "write shell: true beside it, or the command as a list of arguments"


class CommandTextError(ValueError):
    """The text is no pipeline of commands; hint: what to write instead."""

    def __init__(self, message: str, hint: str = WAYS_OUT) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def split_pipeline(text: str) -> list[list[str]]:
    """The commands of a pipeline, each as its argument vector; one command is a pipeline of one.

    Quotes and backslashes mean what they mean to a shell.  Raises CommandTextError for an empty
    command, for quotes without an end, and for whatever else a shell would act upon: it must
    neither be done nor be an argument without anybody noticing.
    """
    return _Reader(text.strip()).stages()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._next = 0

    def _take(self) -> str:
        """The next character, "" at the end."""
        character = self._text[self._next : self._next + 1]
        self._next += 1
        return character

    def stages(self) -> list[list[str]]:
        stages: list[list[str]] = [[]]
        word: str | None = None
        while True:
            character = self._take()
            if character in _BLANKS or character in ("", "|"):
                if word is not None:
                    stages[-1].append(word)
                    word = None
                if character in ("", "|") and not stages[-1]:
                    if not self._text:
                        raise CommandTextError("is blank", "name the program to run")
                    raise CommandTextError(_empty_stage(stages))
                if character == "":
                    return stages
                if character == "|":
                    if self._text[self._next : self._next + 1] in ("|", "&"):
                        raise _sign(f"|{self._take()}")
                    stages.append([])
                continue
            word = (word or "") + self._part(character)

    def _part(self, character: str) -> str:
        """What *character*, and what belongs to it, adds to a word."""
        if character == "'":
            return self._single_quoted()
        if character == '"':
            return self._double_quoted()
        if character == "\\":
            following = self._take()
            if following == "":
                raise CommandTextError("ends with a backslash")
            return "" if following == "\n" else following
        if character in _SIGNS:
            raise _sign(character)
        return character

    def _single_quoted(self) -> str:
        end = self._text.find("'", self._next)
        if end < 0:
            raise _open_quote("'")
        part = self._text[self._next : end]
        self._next = end + 1
        return part

    def _double_quoted(self) -> str:
        part = ""
        while (character := self._take()) != '"':
            if character == "":
                raise _open_quote('"')
            if character in ("$", "`"):
                raise _sign(character, ", also in double quotes")
            if character == "\\":
                following = self._take()
                character = following if following in _ESCAPED else f"\\{following}"
                character = "" if following == "\n" else character
            part += character
        return part


def _sign(sign: str, where: str = "") -> CommandTextError:
    name = "a line's end" if sign == "\n" else sign
    return CommandTextError(f"holds {name}, which only a shell understands{where}")


def _open_quote(quote: str) -> CommandTextError:
    return CommandTextError(
        f"has a {quote} without its end", "close the quotes, or write a list of arguments"
    )


def _empty_stage(stages: list[list[str]]) -> str:
    side = "before" if len(stages) == 1 else "after"
    return f"has no command {side} a |"
