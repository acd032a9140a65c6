"""Shows a progress bar on standard error if that is a terminal; shows nothing in a pipe, a log or a script."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

Look = Callable[[], tuple[int, int]]
"""Returns how much is done and the total; (0, 0) while the total is unknown."""


@contextmanager
def progress(what: str, look: Look = lambda: (0, 0)) -> Iterator[None]:
    """Show a bar until the block ends. Another thread calls `look` a few times a second."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415 - only commands with a terminal need it
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
