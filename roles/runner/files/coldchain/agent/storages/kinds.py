# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storages there are, and what an action has to say about each.  Pure."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import NamedTuple

from coldchain.core.errors import DataError

LOCAL = "local"
DEFAULT_CONTAINER = "freezer_backups"


class Kind(NamedTuple):
    """What an action says about one storage.

    fields: what the storage reads from an action beside the container; required: those of them
    that it cannot do without; secrets: what is read like a field, but never belongs into a
    document; variables: what else a credentials file or the environment may hold.
    """

    fields: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()

    @property
    def credentials(self) -> tuple[str, ...]:
        """The names that a credentials file may set."""
        return (*(name.upper() for name in (*self.fields, *self.secrets)), *self.variables)


#: Everything that rclone's Swift understands of an openrc file, and the certificate authority.
_OPENSTACK = """
OS_AUTH_URL OS_USERNAME OS_USER_ID OS_PASSWORD OS_USER_DOMAIN_NAME OS_USER_DOMAIN_ID
OS_PROJECT_NAME OS_PROJECT_ID OS_PROJECT_DOMAIN_NAME OS_PROJECT_DOMAIN_ID OS_TENANT_NAME
OS_TENANT_ID OS_REGION_NAME OS_STORAGE_URL OS_AUTH_TOKEN OS_APPLICATION_CREDENTIAL_ID
OS_APPLICATION_CREDENTIAL_NAME OS_APPLICATION_CREDENTIAL_SECRET OS_CACERT
"""
_FTP = ("ftp_host", "ftp_port", "ftp_username")

STORAGES = MappingProxyType(
    {
        LOCAL: Kind(),
        "ssh": Kind(
            ("ssh_host", "ssh_port", "ssh_username", "ssh_key", "ssh_known_hosts"),
            ("ssh_host", "ssh_username"),
            ("ssh_password",),
        ),
        "s3": Kind(
            ("endpoint", "access_key", "ca_cert"),
            ("endpoint",),
            ("secret_key",),
            ("AWS_DEFAULT_REGION",),
        ),
        "swift": Kind(("ca_cert",), variables=tuple(_OPENSTACK.split())),
        "ftp": Kind(_FTP, ("ftp_host", "ftp_username"), ("ftp_password",)),
        "ftps": Kind(
            (*_FTP, "ftp_keyfile", "ftp_certfile", "ca_cert"),
            ("ftp_host", "ftp_username"),
            ("ftp_password",),
        ),
        "rclone": Kind(("rclone_config",), variables=("RCLONE_CONFIG_PASS",)),
    }
)

FIELDS = tuple(dict.fromkeys(name for kind in STORAGES.values() for name in kind.fields))
PATHS = frozenset(
    ("ssh_key", "ssh_known_hosts", "ftp_keyfile", "ftp_certfile", "ca_cert", "rclone_config")
)
#: Field -> the port where nothing is said.
PORTS = MappingProxyType({"ssh_port": "22", "ftp_port": "21"})
SECRETS = frozenset(name for kind in STORAGES.values() for name in kind.secrets)

# A remote of an rclone.conf: with a colon in front, the name itself would hold options and secrets.
_REMOTE = re.compile(r"[\w.+@][\w.+@ -]*:")


def container_of(storage: str, container: str) -> str:
    """*container* in its normal form; DataError says what it would have to be."""
    remote = ""
    if storage == "rclone":
        match = _REMOTE.match(container)
        if match is None:
            raise DataError(
                "container: does not begin with the name of a remote",
                'write it as "remote:path"; rclone listremotes shows the names',
            )
        remote, container = match[0], container[match.end() :]
    steps = [step for step in container.split("/") if step not in ("", ".")]
    if ".." in steps or "\0" in container:
        raise DataError(f"container: {container!r} leads out of its place", "write it without ..")
    absolute = container.startswith("/") and storage in ("ssh", "ftp", "ftps", "rclone")
    if not steps and not remote and not absolute:
        raise DataError(f"container: {container!r} names nothing", "name a bucket or directory")
    return f"{remote}{'/' if absolute else ''}{'/'.join(steps)}"
