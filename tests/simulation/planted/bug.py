"""A planted bug: a rule of docs/protocol.md that is left out, as patches of the code's seams for one simulation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest import mock

RULE = re.compile("[A-Z][0-9]+")


class Patch(NamedTuple):
    where: Any
    """A module or class."""
    name: str
    make: Callable[[Any], Any]
    """From the original to what replaces it."""


class Bug(NamedTuple):
    rule: str
    """The id of a rule of docs/protocol.md; or what else says it, such as `decision 40`."""
    what: str
    """What is left out, as a sentence."""
    patches: tuple[Patch, ...]
    needs: str = ""
    """A part of the name of an act without which it does not show: seeds without such an act need not be played."""

    @property
    def title(self) -> str:
        return f"protocol {self.rule}" if RULE.fullmatch(self.rule) else self.rule


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    with ExitStack() as stack:
        for each in bug.patches:
            stack.enter_context(mock.patch.object(each.where, each.name, each.make(getattr(each.where, each.name))))
        yield
