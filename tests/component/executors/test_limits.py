"""What attempts use, and what becomes of those that use more than their limits."""

from __future__ import annotations

import asyncio
import hashlib
import sys

import pytest

from executors.s3 import Download
from schemas.event import Ended, Rejected
from tests.support.attempt_runner import RecordingProducer, claim, make_runner

WAIT_SECONDS = 30.0
MB = 1024**2
PROGRAM = b'#!/bin/sh\neval "$1"\n'
SHA256 = hashlib.sha256(PROGRAM).hexdigest()


class OneScript:
    """An S3 that has only a program that runs its first argument as a script."""

    def download(self, address, target, *, max_bytes, until):
        target.write_bytes(PROGRAM)
        return Download(etag="x", sha256=SHA256, size=len(PROGRAM))

    def etag(self, _):
        return "x"


def attempt(token, script, **changes):
    address = "s3://bucket/program"
    return claim(token, executable=address, run_id=f"dag#r/{token}", sha256=SHA256, args=(script,), **changes)


@pytest.fixture
def ends_of(tmp_path):
    """The ends of attempts that are claimed together."""

    async def play(claims):
        producer = RecordingProducer()
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(WAIT_SECONDS):
            runner = make_runner(producer, OneScript(), tmp_path, tasks)
            runner.on_claimed("10s", claims)
            while runner.attempts:
                producer.acknowledge_all()
                await asyncio.sleep(0.01)
            runner.close()
            runner.link.close()
        ends = [each for each in producer.events() if isinstance(each, Ended | Rejected)]
        return sorted(ends, key=lambda each: each.token)

    return lambda *claims: asyncio.run(play(claims))


def test_an_end_tells_what_the_process_and_those_that_it_waited_for_used(ends_of):
    burn = f"{sys.executable} -S -c 'x = bytearray({100 * MB}); sum(range(5_000_000))'; :"
    burned, slept = ends_of(attempt(1, burn), attempt(2, "exec sleep 0.1"))
    assert 0.05 < burned.cpu_seconds < 10.0
    assert 100 * MB < burned.peak_memory < 200 * MB
    assert (slept.exit_code, slept.cpu_seconds < 0.05, slept.peak_memory < 50 * MB) == (0, True, True)
