"""Finds the control groups of this process: where the kernel shows them, and what can be limited there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from schemas.confinement import Limit

CONTROLLERS = {"memory": Limit.MEMORY, "pids": Limit.PIDS, "cpu": Limit.CPU}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """One hierarchy of control groups. Version 2 has one for all controllers, version 1 can have one for each."""

    version: int
    own: Path
    """The directory of this process's group. In a container that hides the path, the topmost directory that it sees."""
    controllers: tuple[str, ...]
    """Those of `CONTROLLERS` that limit something here."""


def find_hierarchies(proc: Path = Path("/proc")) -> list[Hierarchy]:
    """Those with a controller that can limit something, version 2 first. Empty where there are no control groups."""
    try:
        mounts = (proc / "self" / "mountinfo").read_text().splitlines()
        groups = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return []
    own = _own_groups(groups)
    found = [each for line in mounts if (each := _hierarchy(line, own))]
    found.sort(key=lambda each: -each.version)
    return _without_repeats(found)


def _own_groups(lines: list[str]) -> dict[str, str]:
    """The path of this process's group by controller; that of version 2 has the empty name."""
    found = {}
    for line in lines:
        _, names, path = line.split(":", 2)
        found.update(dict.fromkeys(names.split(","), path))
    return found


def _hierarchy(line: str, own: dict[str, str]) -> Hierarchy | None:
    """From a line of `mountinfo`, see proc(5)."""
    before, _, after = line.partition(" - ")
    root, mount = (_unescaped(each) for each in before.split()[3:5])
    kind, _, options = (*after.split(), "", "")[:3]
    if kind == "cgroup2" and "" in own:
        directory = _directory(mount, root, own[""])
        names = _words_in(directory / "cgroup.controllers")
        return Hierarchy(version=2, own=directory, controllers=tuple(each for each in CONTROLLERS if each in names))
    names = options.split(",")
    here = tuple(each for each in CONTROLLERS if each in names and each in own)
    if kind == "cgroup" and here:
        return Hierarchy(version=1, own=_directory(mount, root, own[here[0]]), controllers=here)
    return None


def _directory(mount: str, root: str, path: str) -> Path:
    """A container may see only a part of the hierarchy, and its own path as the host sees it."""
    inside = os.path.relpath(path, root)
    found = Path(mount) if inside.startswith("..") else Path(mount, inside)
    return found if found.is_dir() else Path(mount)


def _without_repeats(found: list[Hierarchy]) -> list[Hierarchy]:
    """Each controller once, although a hierarchy may be mounted at several places."""
    seen: set[str] = set()
    kept = []
    for each in found:
        if not seen.intersection(each.controllers) and each.controllers:
            kept.append(each)
        seen.update(each.controllers)
    return kept


def _words_in(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _unescaped(text: str) -> str:
    return text.encode().decode("unicode_escape")
