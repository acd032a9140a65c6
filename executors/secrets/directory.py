"""A directory with one file per secret, as Kubernetes, systemd, Docker, Vault agents and sops leave them."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from pathlib import Path

from executors.secrets.provider import MAX_SECRET_BYTES, Answers, SecretError, checked


class Directory:
    def __init__(self, path: Path) -> None:
        self._path = path

    def stamp(self, name: str) -> Hashable:
        """Follows links: Kubernetes replaces all files at once by turning one link to another directory."""
        try:
            found = os.stat(self._path / name)  # noqa: PTH116 - it is called for each attempt
        except (OSError, ValueError):  # it does not exist, or the name contains NUL
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def read(self, names: Sequence[str]) -> Answers:
        return {name: self._read(name) for name in names}

    def _read(self, name: str) -> str | SecretError:
        """The content of the file without a final newline."""
        if not name or "/" in name or name.startswith("."):
            return SecretError(f"secret {name!r} is not a file name")
        try:
            with (self._path / name).open("rb") as file:
                value = checked(name, file.read(MAX_SECRET_BYTES + 1))
        except (OSError, ValueError) as error:
            return SecretError(f"secret {name!r} cannot be read on this executor: {type(error).__name__}")
        return value.removesuffix("\n") if isinstance(value, str) else value
