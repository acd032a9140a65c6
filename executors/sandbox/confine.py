"""Turns what a job asks and what this executor gives into steps, descriptors and a command to put before its own."""

from __future__ import annotations

import os
import resource
import stat
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache

from executors.attempt_dirs import PARTS, AttemptDir
from executors.clock import boot_seconds
from executors.sandbox.confined import Confined
from executors.sandbox.landlock import CHANGE, DEVICE, READ, Access, Granted, Rule, identity_of, make_ruleset
from executors.sandbox.seccomp import Sockets, deny_list
from executors.sandbox.steps import (
    Step,
    become,
    close,
    drop_capabilities,
    enter_landlock,
    fd_in_child,
    filter_calls,
    limit,
    no_new_privileges,
    tag,
)
from executors.sandbox.strict import Strict
from executors.sandbox.unveil import rules_of
from executors.sandbox.visible import DEVICES, ETC, KERNEL_DIRS, SYSTEM_DIRS
from schemas.confinement import Capabilities, Confinement, Network, Sandbox
from schemas.errors import TidemillError

_OPEN_FILES, _MOST_OPEN_FILES = 1_024, 65_536
_LOOK_AGAIN_SECONDS = 10.0
"""After so long, look whether a file of the host is another one: /etc/resolv.conf is replaced, not written."""
_ASKED_NOTHING = Confinement()


class ConfinementError(TidemillError):
    """The executor cannot give what the job asks of its sandbox."""


@dataclass(slots=True, kw_only=True)
class Confiner:
    """Used only from the event loop."""

    capabilities: Capabilities
    machine: str
    rulesets: Rulesets
    strict: Strict | None
    """None: this host cannot give it."""

    def confine(self, asked: Confinement | None, directory: AttemptDir, number: int) -> Confined:
        """`number` is unique among the attempts of this executor. Raises `TidemillError` or `OSError`."""
        asked = asked or _ASKED_NOTHING
        match asked.sandbox or self.capabilities.default:
            case Sandbox.NONE:
                return Confined()
            case Sandbox.BASIC:
                return self._basic(asked, directory)
            case Sandbox.STRICT:
                return self._strict(asked, directory, number)

    def close(self) -> None:
        self.rulesets.close()
        if self.strict:
            self.strict.close()

    def _basic(self, asked: Confinement, directory: AttemptDir) -> Confined:
        ruleset = self.rulesets.of(directory, asked.unveil)
        sockets = Sockets.NONE if asked.network is Network.NONE else Sockets.ANY
        last = rights(self.machine, sockets, own_user=directory.user is not None)
        return Confined(steps=(*limits(), *_become(directory), *last), fds=(ruleset,))

    def _strict(self, asked: Confinement, directory: AttemptDir, number: int) -> Confined:
        if self.strict is None:
            raise ConfinementError("this executor has no sandbox strict")
        allowed = self.capabilities.unveil
        steps = (*limits(), *_become(directory))
        return self.strict.confine(asked, directory, number, allowed=allowed, limits=steps)


def make_confiner(capabilities: Capabilities, strict: Strict | None, *, spare_dirs: int) -> Confiner:
    """`spare_dirs` is the maximum of attempts at the same time."""
    rulesets = Rulesets(allowed=capabilities.unveil, most=spare_dirs)
    return Confiner(capabilities=capabilities, machine=os.uname().machine, rulesets=rulesets, strict=strict)


def _become(directory: AttemptDir) -> tuple[Step, ...]:
    return become(directory.user.id) if directory.user else ()


@cache
def limits() -> tuple[Step, ...]:
    """The limits that every attempt has."""
    _, open_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = min(open_files, _MOST_OPEN_FILES)
    return (
        limit(resource.RLIMIT_CORE, 0, 0, "its core dumps cannot be switched off"),
        limit(resource.RLIMIT_NOFILE, min(_OPEN_FILES, most), most, "its open files cannot be limited"),
        tag(),
    )


@cache
def rights(machine: str, sockets: Sockets, *, own_user: bool) -> tuple[Step, ...]:
    """What takes rights from an attempt; its ruleset is its first descriptor."""
    fd = fd_in_child(0)
    return (
        drop_capabilities(),
        no_new_privileges(),
        enter_landlock(fd),
        close(fd),
        filter_calls(deny_list(machine, sockets, own_user=own_user)),
    )


@dataclass(slots=True, kw_only=True)
class Rulesets:
    """Landlock rulesets by the directories that they are for: directories are reused, and so are these."""

    allowed: tuple[str, ...]
    """TIDEMILL_UNVEIL."""
    most: int
    """Keep so many."""
    _kept: OrderedDict[tuple[object, ...], int] = field(default_factory=OrderedDict)
    _host: list[Granted] = field(default_factory=list)
    _looked: float = float("-inf")

    def of(self, directory: AttemptDir, unveiled: tuple[str, ...]) -> int:
        """The descriptor of the ruleset; it stays open until the next call. Raises `OSError` or `TidemillError`."""
        self._look_at_host()
        # A ruleset keeps the files that it names, so no other file can get the same number meanwhile.
        key = (*_identities(directory), unveiled)
        if key not in self._kept:
            self._kept[key] = self._make(directory, unveiled)
        self._kept.move_to_end(key)
        while len(self._kept) > self.most:
            os.close(self._kept.popitem(last=False)[1])
        return self._kept[key]

    def close(self) -> None:
        for fd in self._kept.values():
            os.close(fd)
        self._kept.clear()
        for each in self._host:
            each.close()
        self._host = []

    def _make(self, directory: AttemptDir, unveiled: tuple[str, ...]) -> int:
        opened: list[Granted] = []
        try:
            opened.extend(Granted(each) for each in (*_own_rules(directory), *rules_of(unveiled, self.allowed)))
            return make_ruleset([*self._host, *opened])
        finally:
            for each in opened:
                each.close()

    def _look_at_host(self) -> None:
        if boot_seconds() - self._looked < _LOOK_AGAIN_SECONDS:
            return
        found = list(_granted(_host_rules()))
        if [each.identity for each in found] == [each.identity for each in self._host]:
            for each in found:
                each.close()
        else:
            self.close()
            self._host = found
        self._looked = boot_seconds()


def _identities(directory: AttemptDir) -> Iterator[tuple[int, int]]:
    """Of its parts, and of its program if that is a link into the cache. Raises `OSError`."""
    yield from directory.parts or (identity_of(os.stat(f"{directory.path}/{part}")) for part in PARTS)  # noqa: PTH116
    if stat.S_ISLNK(os.lstat(directory.executable).st_mode):
        yield identity_of(os.stat(directory.executable))  # noqa: PTH116 - once for each run


def _own_rules(directory: AttemptDir) -> Iterator[Rule]:
    everything, run = READ | CHANGE | Access.EXECUTE, READ | Access.EXECUTE
    for path in (directory.cwd, directory.checkpoint, directory.result.parent):
        yield Rule(path=str(path), access=everything)
    yield Rule(path=str(directory.executable.parent), access=run)
    if directory.executable.is_symlink():
        yield Rule(path=str(directory.executable), access=run)


def _host_rules() -> Iterator[Rule]:
    yield from (Rule(path=each, access=READ | Access.EXECUTE) for each in SYSTEM_DIRS)
    yield from (Rule(path=each, access=READ) for each in (*ETC, *KERNEL_DIRS))
    yield from (Rule(path=each, access=DEVICE) for each in DEVICES)


def _granted(rules: Iterator[Rule]) -> Iterator[Granted]:
    """A host lacks many of them."""
    for rule in rules:
        with suppress(OSError):
            yield Granted(rule)
