"""A planted bug: a rule of docs/protocol.md that is left out, as patches of the code's seams for one simulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest import mock


class Patch(NamedTuple):
    where: Any
    """A module or class."""
    name: str
    make: Callable[[Any], Any]
    """From the original to what replaces it."""


class Bug(NamedTuple):
    rule: str
    what: str
    """What is left out, as a sentence."""
    patches: tuple[Patch, ...]


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    with ExitStack() as stack:
        for each in bug.patches:
            stack.enter_context(mock.patch.object(each.where, each.name, each.make(getattr(each.where, each.name))))
        yield
