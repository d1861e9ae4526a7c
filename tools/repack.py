# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""repack.py ARTIFACT TARGET: the same collection artifact, with bytes that its contents decide.

ansible-galaxy takes names in the order of the directory and times from the clock.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path


def main(artifact: Path, target: Path) -> None:
    """Write *artifact*'s content to *target*, which is replaced as a whole."""
    contents: dict[str, bytes | None] = {}
    modes: dict[str, int] = {}
    with tarfile.open(artifact) as archive:
        for entry in archive:
            if not (entry.isfile() or entry.isdir()):
                sys.exit(f"repack: {entry.name} is neither a file nor a directory")
            stream = archive.extractfile(entry)
            contents[entry.name] = stream.read() if stream else None
            modes[entry.name] = entry.mode
    files = json.loads(contents["FILES.json"] or b"")
    files["files"].sort(key=lambda entry: entry["name"])
    listing = json.dumps(files, indent=True).encode()
    contents["FILES.json"] = listing
    manifest = json.loads(contents["MANIFEST.json"] or b"")
    manifest["file_manifest_file"]["chksum_sha256"] = hashlib.sha256(listing).hexdigest()
    contents["MANIFEST.json"] = json.dumps(manifest, indent=True).encode()

    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    with (
        partial.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted(contents):
            content = contents[name]
            entry = tarfile.TarInfo(name)
            entry.mode = modes[name]
            if content is None:
                entry.type = tarfile.DIRTYPE
                archive.addfile(entry)
            else:
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    partial.replace(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
