# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What rclone and the servers behind it say when something fails, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

# rclone's exit code for a folder that does not exist, and words of FTP servers that it does not
# recognise as that.
_NO_FOLDER_CODE = 3
_NO_FOLDER = re.compile(r"\b5\d\d\b.*no such (file or )?directory", re.IGNORECASE)
_STAMP = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (?:[A-Z]+ *: ?)?")
_FAILED = re.compile(r"Failed to [a-z]+(?: file system for \".*\")?(?: with \d+ errors)?: ")
_LAST = re.compile(r"last error was: ")

_DENIED = (
    r"unable to authenticate|SignatureDoesNotMatch|InvalidAccessKeyId|AccessDenied|Forbidden"
    r"|permission denied|Unauthorized|Authorization|\b40[13]\b|\b530\b"
)
_AWAY = (
    r"connection refused|no such host|timeout|timed out|unreachable|EOF|reset by peer|broken pipe"
)
#: What rclone says -> what to do about it, the first that fits.
_HINTS = (
    (r"knownhosts: key is unknown", "{unknown_key}"),
    (r"knownhosts: key mismatch", "{changed_key}"),
    (
        _DENIED,
        "check user, key and password, and what the storage lets this user do",
    ),
    (
        r"no space|quota|\b552\b|\b507\b|Insufficient Storage|SSH_FX_FAILURE|\b452\b",
        "free some space on the storage, or remove old backups with the action admin",
    ),
    (r"private key", "name the file with the key in ssh_key; it must have no passphrase"),
    (r"x509|certificate|tls: ", "name the authority that signed the certificate in ca_cert"),
    (
        _AWAY,
        "see that the storage is up and can be reached from here; max_retries tries again later",
    ),
    (r"didn't find section in config", "rclone listremotes shows the remotes of an rclone.conf"),
    (r"unknown flag|unknown command", "install a newer rclone"),
)


def reason(lines: Sequence[str]) -> str:
    """The last line in which rclone says why it failed, without time and level."""
    messages = [_STAMP.sub("", line, count=1).strip() for line in lines]
    for line in reversed(messages):
        match = _FAILED.match(line)
        if match:
            return _LAST.sub("", line[match.end() :], count=1)
    return next((line for line in reversed(messages) if line), "")


def hint_of(text: str, own: Mapping[str, str]) -> str:
    """What to do about *text*, why rclone failed; "" when that is not known.

    own: what one storage has to say about its keys, by the words that stand in braces above.
    """
    hint = next((hint for pattern, hint in _HINTS if re.search(pattern, text, re.I)), "")
    return own.get(hint.strip("{}"), "") if hint.startswith("{") else hint


def tells_no_folder(code: int, why: str) -> bool:
    """Whether rclone ended with *code*, and said *why*, because there is no such folder."""
    return code == _NO_FOLDER_CODE or _NO_FOLDER.search(why) is not None
