"""Fetches the vendored scripts anew with npm and checks their hashes: `python -m tidemill.web.vendor`."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import msgspec

from schemas.errors import TidemillError

FOLDER = Path(__file__).with_name("static") / "vendor"


class VendorError(TidemillError):
    """A vendored file is not the locked one."""


class Vendored(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `vendor/lock.json`."""

    file: str
    name: str
    version: str
    member: str
    """The file's path in the npm package."""
    sha384: str
    """Of the file, in base64, as in a browser's `integrity`."""
    license: str


def locked() -> list[Vendored]:
    return msgspec.json.decode((FOLDER / "lock.json").read_bytes(), type=list[Vendored])


def sha384(content: bytes) -> str:
    return base64.b64encode(hashlib.sha384(content).digest()).decode()


def checked(each: Vendored, content: bytes) -> bytes:
    if sha384(content) != each.sha384:
        raise VendorError(f"{each.member} of {each.name} {each.version} has the sha384 {sha384(content)}")
    return content


def fetch(each: Vendored) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        made = subprocess.run(
            ["npm", "pack", "--silent", f"{each.name}@{each.version}"],
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
        )
        with tarfile.open(Path(folder) / made.stdout.split()[-1]) as package:
            found = package.extractfile(f"package/{each.member}")
            assert found is not None
            return checked(each, found.read())


def main() -> int:
    for each in locked():
        (FOLDER / each.file).write_bytes(fetch(each))
        sys.stdout.write(f"{each.file} is {each.name} {each.version}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
