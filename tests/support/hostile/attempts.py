"""Hostile attempts as values: each is a function that runs as a job, in every house that it is made for."""

from __future__ import annotations

import inspect
import os
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

from schemas.confinement import Confinement, Limit, Sandbox
from tests.support.hostile import inside

ROOT, PLAIN = "root", "plain"
"""Users of the executor."""
_PYTHON = next(path for path in ("/usr/bin/python3", "/usr/local/bin/python3") if Path(path).exists())
_PLAINLY = Confinement()
_PRELUDE = Path(inside.__file__).read_text()


class Key(NamedTuple):
    """A house: how its executor isolates attempts, and whose it is."""

    sandbox: Sandbox
    user: str
    start: str = ""
    """`shim`: as on hosts that run no program from memory."""

    def __str__(self) -> str:
        return "-".join(each for each in (self.sandbox.value, self.user, self.start) if each)


BASIC_ROOT, BASIC_PLAIN = Key(Sandbox.BASIC, ROOT), Key(Sandbox.BASIC, PLAIN)
SHIM = Key(Sandbox.BASIC, ROOT, "shim")
SHARED_USER = (BASIC_PLAIN,) if os.geteuid() == 0 else (BASIC_PLAIN, BASIC_ROOT)
"""Where attempts have no users of their own: the root of a namespace has no others to give."""
CONFINED = tuple(Key(sandbox, user) for sandbox in (Sandbox.BASIC, Sandbox.STRICT) for user in (ROOT, PLAIN))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    name: str
    script: bytes = field(repr=False)
    shown_as: str | None
    """Without a sandbox it gets through, as a job of this user's executor; None: not tried, for the reason in `why`."""
    why: str | None
    confinement: Confinement = _PLAINLY
    also_in: tuple[Key, ...] = ()
    """Houses besides the usual ones."""
    needs: Limit | None = None
    """An executor that cannot enforce this limit refuses the job."""
    order: dict[str, object] = field(default_factory=dict)
    """Changes of its dispatch."""
    told: dict[str, object] = field(default_factory=dict)
    """What it gets to know besides the facts of the house."""
    twins: int = 0
    """So many attempts of the same program start while it runs."""
    known: tuple[Key, ...] = ()
    """Where it gets through, as docs/security.md says."""
    check: Callable[..., None] | None = None
    """Judges its end (house, outcome), instead of the last line of its output."""

    @property
    def keys(self) -> tuple[Key, ...]:
        shown = (Key(Sandbox.NONE, self.shown_as),) if self._is_shown else ()
        return shown + CONFINED + self.also_in

    @property
    def _is_shown(self) -> bool:
        """Only a real root can show what only root may."""
        return self.shown_as == PLAIN or (self.shown_as == ROOT and os.geteuid() == 0)


def hostile(*, shown_as: str | None = PLAIN, why: str | None = None, **changes: object) -> Callable[..., object]:
    """Makes a test of a function that is the attempt: what it returns is what it got, an `OSError` what held it."""
    assert (shown_as is None) == (why is not None), "an attempt is shown to get through, or there is a reason"

    def decorate(function: Callable[[SimpleNamespace], object]) -> Callable[..., None]:
        attempt = Attempt(name=function.__name__, script=_script(function), shown_as=shown_as, why=why, **changes)

        def test(house):
            house.judge(attempt)

        test.__name__ = function.__name__
        test.__doc__ = function.__doc__
        test.attempt = attempt
        return test

    return decorate


def _script(function: Callable[..., object]) -> bytes:
    text = textwrap.dedent(inspect.getsource(function))
    body = text[text.index(f"def {function.__name__}(") :]
    return f"#!{_PYTHON}\n{_PRELUDE}\n\n{body}\n\nrun({function.__name__})\n".encode()
