"""An attempt uses only an answer about an object whose question came after its dispatch was read."""

from __future__ import annotations

import asyncio
import queue
from concurrent.futures import ThreadPoolExecutor

import pytest

from executors.clock import boot_seconds
from executors.etags import Etags, Hashes
from executors.s3 import ObjectError, parse_address

HERE = parse_address("s3://bucket/job.sh")


class Storage:
    """An S3 that answers questions in order, when a test says so."""

    def __init__(self):
        self.asked = 0
        self.answers = queue.Queue()

    def etag(self, _):
        self.asked += 1
        answer = self.answers.get(timeout=10)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def storage():
    return Storage()


def told(storage, scenario):
    """Runs `scenario(etags)` in an event loop."""

    async def run():
        with ThreadPoolExecutor(2) as threads:
            return await scenario(Etags(storage.etag, threads))

    return asyncio.run(run())


def test_an_answer_serves_every_waiter_that_came_before_its_question(storage):
    async def scenario(etags):
        since = boot_seconds()
        early = etags.expect(HERE, since)
        assert etags.known(HERE, since) is None
        storage.answers.put("1")
        found = await asyncio.gather(early, etags.get(HERE, since), etags.get(HERE, since))
        return [*found, etags.known(HERE, since)]

    assert told(storage, scenario) == ["1"] * 4
    assert storage.asked == 1


def test_a_later_waiter_waits_for_the_next_question(storage):
    async def scenario(etags):
        first = etags.expect(HERE, boot_seconds())
        await asyncio.sleep(0)  # the question is asked
        late = [asyncio.create_task(etags.get(HERE, boot_seconds())) for _ in range(3)]
        storage.answers.put("before the change")
        storage.answers.put("after it")
        return [await first, *await asyncio.gather(*late)]

    assert told(storage, scenario) == ["before the change"] + ["after it"] * 3
    assert storage.asked == 2


def test_an_old_answer_is_not_used(storage):
    async def scenario(etags):
        storage.answers.put("old")
        await etags.get(HERE, boot_seconds())
        return etags.known(HERE, boot_seconds())

    assert told(storage, scenario) is None


def test_an_error_reaches_every_waiter_and_is_not_stored(storage):
    async def scenario(etags):
        since = boot_seconds()
        storage.answers.put(ObjectError("it does not exist"))
        found = await asyncio.gather(*(etags.get(HERE, since) for _ in range(2)), return_exceptions=True)
        assert etags.known(HERE, since) is None
        return [str(each) for each in found]

    assert told(storage, scenario) == ["it does not exist"] * 2


def test_a_failed_question_without_waiters_is_harmless(storage):
    async def scenario(etags):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await etags.get(HERE, boot_seconds())
        storage.answers.put(ObjectError("it does not exist"))
        storage.answers.put("1")
        return await etags.get(HERE, boot_seconds())

    assert told(storage, scenario) == "1"


def test_the_least_recently_used_etags_are_forgotten():
    hashes = Hashes(limit=2)
    first, second, third = (parse_address(f"s3://bucket/{name}") for name in "abc")
    hashes.remember(first, "x", "1")
    hashes.remember(second, "x", "2")
    assert hashes.get(first, "x") == "1"
    hashes.remember(third, "x", "3")
    assert [hashes.get(each, "x") for each in (first, second, third)] == ["1", None, "3"]


def test_an_object_is_known_under_its_last_etag_alone():
    hashes = Hashes()
    hashes.remember(HERE, "old", "1")
    hashes.remember(HERE, "new", "2")
    assert (hashes.get(HERE, "old"), hashes.get(HERE, "new")) == (None, "2")
