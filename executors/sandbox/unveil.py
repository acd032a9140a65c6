"""Paths that jobs may use besides their own: `r:/srv/www`, `rw:/srv/in`, `rx:/opt/tool`."""

from __future__ import annotations

import os
from collections.abc import Iterator

from executors.sandbox.landlock import CHANGE, READ, Access, Rule
from schemas.errors import TidemillError

_FORMS = ("r", "rw", "rx", "rwx")
_RIGHTS = {"r": READ, "w": CHANGE, "x": Access.EXECUTE}


class UnveilError(TidemillError):
    """An entry of `unveil` is not of the form `rwx:/path`, or it is not allowed."""


def parse_list(text: str) -> tuple[str, ...]:
    """The entries of TIDEMILL_UNVEIL, which commas separate. Raises `UnveilError`."""
    entries = tuple(each.strip() for each in text.split(",") if each.strip())
    for each in entries:
        split_entry(each)
    return entries


def split_entry(entry: str) -> tuple[str, str]:
    """Its rights and its path. Raises `UnveilError`."""
    rights, _, path = entry.partition(":")
    if rights not in _FORMS:
        raise UnveilError(f"{entry!r} has none of the rights r, rw, rx and rwx: r:/srv/www, rw:/srv/in, rx:/opt/tool")
    if not path.startswith("/") or os.path.normpath(path) != path:
        raise UnveilError(f"{entry!r} has no absolute path without . and ..: r:/srv/www, rw:/srv/in, rx:/opt/tool")
    return rights, path


def access_of(rights: str) -> Access:
    access = Access(0)
    for each in rights:
        access |= _RIGHTS[each]
    return access


def rules_of(unveiled: tuple[str, ...], allowed: tuple[str, ...]) -> Iterator[Rule]:
    """What a path leads to must lie below what the allowed path leads to. Raises `UnveilError`."""
    for entry in unveiled:
        rights, path = split_entry(entry)
        folder = _allowed_folder(rights, path, allowed)
        if folder is None:
            raise UnveilError(f"unveil {entry} is not allowed here; TIDEMILL_UNVEIL is {','.join(allowed) or 'empty'}")
        yield Rule(path=path, access=access_of(rights), within=os.path.realpath(folder))


def _allowed_folder(rights: str, path: str, allowed: tuple[str, ...]) -> str | None:
    for entry in allowed:
        most, folder = split_entry(entry)
        if set(rights) <= set(most) and f"{path}/".startswith(f"{folder.rstrip('/')}/"):
            return folder
    return None
