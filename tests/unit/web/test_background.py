"""Readings in the background: the latest one is kept, also if it is a failure."""

from __future__ import annotations

import threading
from datetime import timedelta

from schemas.errors import TidemillError
from tests.support.waiting import eventually
from tidemill.web.background import Background, Task, reading


class SilentError(TidemillError):
    """A part does not answer."""


def test_a_failure_is_a_reading_with_its_sentence():
    def fail():
        raise SilentError("Kafka does not answer")

    assert reading(lambda: 7).value == 7
    assert reading(fail).problem == "Kafka does not answer"


def test_a_part_that_hangs_delays_no_other():
    release = threading.Event()
    values = iter(range(1000))
    background = Background(
        {
            "hangs": Task(read=lambda: release.wait(30), every=timedelta(0)),
            "works": Task(read=lambda: next(values), every=timedelta(milliseconds=1)),
        }
    )
    background.open()
    try:
        eventually(lambda: (found := background.get("works")) and found.value > 3)
        assert background.version > 3
        assert background.get("hangs") is None
    finally:
        background.close()
        release.set()


def test_a_reading_that_fails_unexpectedly_does_not_stop_the_next_ones():
    values = iter([ValueError("a bug"), 1, 2])

    def read():
        found = next(values, 3)
        if isinstance(found, Exception):
            raise found
        return found

    background = Background({"task": Task(read=read, every=timedelta(milliseconds=1))})
    background.open()
    try:
        eventually(lambda: (found := background.get("task")) and found.value == 3)
    finally:
        background.close()
