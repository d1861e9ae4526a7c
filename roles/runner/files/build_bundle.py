# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack the runner and its libraries into one archive, described by one JSON file.

    python build_bundle.py [--output DIR] [--wheels DIR]

coldchain-bundle.tar.gz holds coldchain/ (our package) and vendor/ (the unpacked wheels of
bundle-requirements.txt with their licences): all a host needs beside python3.  Same sources, same
archive: sorted names, owner root, no times.  A bundle that already matches its sources is left
alone, without a look at the network.  Two builds at once do not disturb each other: each works in
a directory of its own and renames the finished files into place.

Exit codes: 0 done or nothing to do, 65 a source or a wheel is not acceptable, 69 pip or the wheels
cannot be had, 73 the output cannot be written.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ARCHIVE = "coldchain-bundle.tar.gz"
MANIFEST = "coldchain-bundle.json"
LOCK = HERE / "bundle-requirements.txt"
PACKAGE = HERE / "coldchain"

# The oldest Python of a host, and wheels without anything compiled.
PIP_TARGET = (
    "--only-binary=:all:",
    "--platform=any",
    "--python-version=3.9",
    "--implementation=py",
    "--abi=none",
)
COMPILED = (".so", ".pyd", ".dll", ".dylib", ".pyc", ".exe")
# Libraries' own tests are 60 % of the unpacked jsonschema; RECORD would name them and is of no use.
LEFT_OUT = re.compile(r"^[^/]+/(tests|test|benchmarks)/|\.dist-info/RECORD$")


class BundleError(Exception):
    """The bundle cannot be built; carries the exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def locked() -> dict[str, set[str]]:
    """The lock as {"name==version": {sha256, ...}}."""
    pins: dict[str, set[str]] = {}
    for line in LOCK.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        pin, *hashes = line.split(" --hash=sha256:")
        if pin.strip() and not pin.startswith("#"):
            pins[pin.split(";")[0].strip()] = {value.strip() for value in hashes}
    return pins


def package_version() -> str:
    """The collection's version, as the package itself reads it."""
    sys.dont_write_bytecode = True  # an installed collection is not ours to write to
    from coldchain import __version__

    if __version__ == "unknown":
        raise BundleError(f"{HERE}: lies in no collection: no galaxy.yml, no MANIFEST.json", 65)
    return __version__


def package_files() -> Iterator[tuple[str, bytes]]:
    """Our package as (name in the archive, content), with the collection's version beside it."""
    yield "coldchain/VERSION", f"{package_version()}\n".encode()
    for path in sorted(PACKAGE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith("."):
            yield path.relative_to(HERE).as_posix(), path.read_bytes()


def sources_digest() -> str:
    """One hash over everything that decides what the bundle holds."""
    digest = hashlib.sha256()
    inputs = [(path.name, path.read_bytes()) for path in (LOCK, Path(__file__))]
    for name, content in [*inputs, *package_files()]:
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def up_to_date(output: Path, sources: str) -> bool:
    """Whether *output* holds a bundle of these sources that nobody has changed."""
    try:
        manifest = json.loads((output / MANIFEST).read_text(encoding="utf-8"))
        archive = (output / ARCHIVE).read_bytes()
    except (OSError, ValueError):
        return False
    expected = (sources, hashlib.sha256(archive).hexdigest())
    return (manifest.get("sources"), manifest.get("archive_sha256")) == expected


def pip_command() -> list[str]:
    """What runs pip here; BundleError when there is none."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    for name in ("pip3", "pip"):
        program = shutil.which(name)
        if program:
            return [program]
    raise BundleError(
        "pip is needed on the controller to fetch the runner's libraries, and there is none:"
        f" install it for {sys.executable} (Debian: apt install python3-pip), or install the"
        " collection from its tarball, which contains the bundle",
        69,
    )


def fetch(target: Path) -> None:
    """Download the locked wheels into *target*; pip itself checks every hash."""
    command = [*pip_command(), "download", "--quiet", "--disable-pip-version-check"]
    command += ["--require-hashes", "--no-deps", *PIP_TARGET, f"--dest={target}"]
    # A user's pip configuration may ask for editable or prefix installs; it may name an index too.
    result = subprocess.run(
        [*command, f"--requirement={LOCK}"], capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise BundleError(
            f"the wheels of {LOCK.name} could not be fetched:\n{result.stderr.strip()}\n"
            "Without a package index, install the collection from its tarball (it contains the"
            " bundle), or put the wheels into a directory and give it with --wheels",
            69,
        )


def pick(directory: Path, pins: dict[str, set[str]]) -> dict[str, Path]:
    """The wheels of *directory* that the lock names, by pin."""
    found: dict[str, Path] = {}
    for wheel in sorted(directory.glob("*-none-any.whl")):
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        found.update({pin: wheel for pin, hashes in pins.items() if digest in hashes})
    return found


def locked_wheels(cache: Path | None, scratch: Path) -> dict[str, Path]:
    """Every locked wheel, from the cache when it has all of them, else from the index."""
    pins = locked()
    wheels = pick(cache, pins) if cache else {}
    if wheels.keys() != pins.keys():
        fetch(scratch)
        wheels = pick(scratch, pins)
        missing = sorted(pins.keys() - wheels.keys())
        if missing:
            raise BundleError(f"no pure-Python wheel with a locked hash for {missing}", 65)
        if cache:
            cache.mkdir(parents=True, exist_ok=True)
            for wheel in wheels.values():
                partial = cache / f".{wheel.name}.{os.getpid()}"
                shutil.copyfile(wheel, partial)
                partial.replace(cache / wheel.name)
    return wheels


def vendor_files(wheels: dict[str, Path]) -> Iterator[tuple[str, bytes]]:
    """The wheels' content as (name in the archive, content)."""
    for wheel in wheels.values():
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.endswith(COMPILED):
                    raise BundleError(f"{wheel.name}: {name} is compiled", 65)
                if not name.endswith("/") and not LEFT_OUT.search(name):
                    yield f"vendor/{name}", archive.read(name)


def pack(files: dict[str, bytes]) -> bytes:
    """An uncompressed tar whose bytes depend on nothing but names and contents."""
    buffer = io.BytesIO()
    folders = {parent.as_posix() for name in files for parent in Path(name).parents if parent.parts}
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in sorted([*folders, *files]):
            entry = tarfile.TarInfo(name)
            entry.uname = entry.gname = "root"
            if name in folders:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
            else:
                entry.size, entry.mode = len(files[name]), 0o644
                archive.addfile(entry, io.BytesIO(files[name]))
    return buffer.getvalue()


def publish(output: Path, name: str, content: bytes) -> None:
    """Write the file beside its place and rename it: a reader sees the old one or the new one."""
    handle, partial = tempfile.mkstemp(prefix=f".{name}.", dir=output)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.chmod(partial, 0o644)
        os.replace(partial, output / name)
    except OSError:
        os.unlink(partial)
        raise


def build(output: Path, cache: Path | None) -> dict[str, object]:
    """Write the bundle unless it is there; returns its manifest and whether it is a new one."""
    sources = sources_digest()
    if up_to_date(output, sources):
        return {"changed": False, **json.loads((output / MANIFEST).read_text(encoding="utf-8"))}
    with tempfile.TemporaryDirectory(prefix="coldchain-wheels-") as scratch:
        wheels = locked_wheels(cache, Path(scratch))
        content = pack(dict([*package_files(), *vendor_files(wheels)]))
        names = {pin: wheel.name for pin, wheel in sorted(wheels.items())}
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as stream:
        stream.write(content)
    # The release is named after the tar inside: compressors differ between controllers.
    digest = hashlib.sha256(content).hexdigest()
    version = package_version()
    manifest: dict[str, object] = {
        "version": version,
        "release": f"{version}-{digest[:12]}",
        "sha256": digest,
        "archive_sha256": hashlib.sha256(packed.getvalue()).hexdigest(),
        "sources": sources,
        "wheels": names,
    }
    try:
        output.mkdir(parents=True, exist_ok=True)
        publish(output, ARCHIVE, packed.getvalue())
        publish(output, MANIFEST, json.dumps(manifest, indent=2).encode() + b"\n")
    except OSError as error:
        raise BundleError(
            f"{output}: the bundle cannot be written: {error.strerror}; build it as a user who may"
            f" (python {Path(__file__).name}), or install the collection from its tarball",
            73,
        ) from None
    return {"changed": True, **manifest}


def main() -> int:
    """What the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--output", type=Path, default=HERE, help="directory to write to")
    parser.add_argument("--wheels", type=Path, help="directory that keeps the downloaded wheels")
    arguments = parser.parse_args()
    try:
        print(json.dumps(build(arguments.output, arguments.wheels), indent=2))
    except BundleError as error:
        print(f"build_bundle: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
