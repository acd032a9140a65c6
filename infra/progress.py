"""A bar on standard error for whoever waits in front of a terminal; nothing for a pipe, a log or a script."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

Look = Callable[[], tuple[int, int]]
"""How much is done, of how much; (0, 0) while that is not known."""


@contextmanager
def progress(what: str, look: Look = lambda: (0, 0)) -> Iterator[None]:
    """Shown at once, gone at the end. `look` is called some times a second, from another thread."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415 - no part of the stack but these few shows anything
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    class Looking(Progress):
        def get_renderables(self) -> Iterable[RenderableType]:
            done, total = look()
            for task in self.task_ids:
                self.update(task, completed=done, total=total or None)
            return super().get_renderables()

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    bar = Looking(*columns, console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty())
    bar.add_task(what, total=None)
    with bar:
        yield
