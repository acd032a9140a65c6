"""S3 is judged by its own answers; the others are asked beside it, while S3 is out of reach."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

import pytest

from executors import judge, s3_reach
from executors.s3_reach import S3Reach

SOON_SECONDS = 10.0
REFUSED = "S3 is unreachable: connection refused"


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(judge, "_PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(s3_reach, "_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(s3_reach, "_ASK_OTHERS_SECONDS", 0.01)


def reached(probe, others_are_well, story):
    """Run it beside `story(reach, changes)`; `changes.get()` waits for the next change of the reason."""

    async def body():
        reach, changes = S3Reach(probe, others_are_well), asyncio.Queue()
        task = asyncio.create_task(reach.run(lambda: changes.put_nowait(reach.reason)))
        try:
            async with asyncio.timeout(SOON_SECONDS):
                await story(reach, changes)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            reach.close()
        assert changes.empty()

    asyncio.run(body())


async def until(condition):
    while not condition():  # noqa: ASYNC110 - threads change it
        await asyncio.sleep(0.005)


def test_a_refusal_of_s3_is_told_while_the_question_to_the_others_has_no_answer():
    is_asked, may_answer = threading.Event(), threading.Event()

    def others_are_well():
        is_asked.set()
        return may_answer.wait(SOON_SECONDS)

    async def story(reach, changes):
        assert await changes.get() == REFUSED
        await until(is_asked.is_set)
        assert (reach.reason, reach.has_elsewhere) == (REFUSED, False)
        may_answer.set()
        await until(lambda: reach.has_elsewhere)

    reached(lambda: REFUSED, others_are_well, story)


def test_the_others_are_asked_again_while_s3_is_out_of_reach():
    answers = iter([False, False])

    async def story(reach, changes):
        assert await changes.get() == REFUSED
        await until(lambda: reach.has_elsewhere)

    reached(lambda: REFUSED, lambda: next(answers, True), story)


def test_nobody_is_asked_while_s3_answers():
    reasons, asked = [None], []

    async def story(reach, changes):
        assert asked == []
        reasons[0] = REFUSED
        reach.doubt()
        assert await changes.get() == REFUSED
        await until(lambda: reach.has_elsewhere)
        reasons[0] = None
        reach.doubt()
        assert await changes.get() is None
        await until(lambda: not reach.has_elsewhere)

    reached(lambda: reasons[0], lambda: asked.append(1) or True, story)


def test_one_lost_request_is_no_illness():
    found = iter([REFUSED, None, REFUSED, REFUSED])

    async def story(_, changes):
        assert await changes.get() == REFUSED
        assert next(found, "all asked") == "all asked"

    reached(lambda: next(found, REFUSED), lambda: False, story)
