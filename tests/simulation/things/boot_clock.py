"""CLOCK_BOOTTIME of the simulation: the modules of the executor read it through one name, which is replaced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

from executors import consumer, events, heartbeats, in_hand, runner
from tests.simulation.things.world import World

READERS = (consumer, events, heartbeats, in_hand, runner)


@contextmanager
def simulated_boot_clock(world: World) -> Iterator[None]:
    with ExitStack() as stack:
        for module in READERS:
            stack.enter_context(mock.patch.object(module, "boot_seconds", world.boot))
        yield
