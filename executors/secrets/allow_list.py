"""Which tenant may use which secrets: a TOML file with a list of globs for each tenant."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Hashable, Iterable
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from executors.secrets.provider import SecretError

EVERY_TENANT = "*"
_Globs = dict[str, list[str]]


class AllowList:
    """Used from the event loop: the file is read again when it has changed."""

    def __init__(self, path: Path | None) -> None:
        """None: every tenant may use every secret."""
        self._path = path
        self._stamp: Hashable = None
        self._globs: _Globs | None = None

    def check(self, tenant: str | None, names: Iterable[str]) -> None:
        """`tenant` is None in a dispatch of an earlier release. Raises `SecretError`."""
        if self._path is None:
            return
        globs = self._current(self._path)
        allowed = [*globs.get(EVERY_TENANT, ()), *(globs.get(tenant, ()) if tenant else ())]
        for name in names:
            if not any(fnmatchcase(name, glob) for glob in allowed):
                raise SecretError(f"tenant {tenant!r} may not use secret {name!r}: {_RULE}")

    def _current(self, path: Path) -> _Globs:
        try:
            found = os.stat(path)  # noqa: PTH116 - it is called for each attempt
            stamp = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
            if self._globs is None or stamp != self._stamp:
                self._globs = msgspec.convert(tomllib.loads(path.read_text()), _Globs)
                self._stamp = stamp
        except (OSError, ValueError, msgspec.ValidationError) as error:
            self._globs = None
            raise SecretError(f"no secret is given out: TIDEMILL_SECRETS_ALLOW cannot be read: {error}") from None
        return self._globs


_RULE = "TIDEMILL_SECRETS_ALLOW of this executor does not name it"
