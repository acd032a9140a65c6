"""Output through a real pipe, with an S3 that does not answer."""

from __future__ import annotations

import asyncio
import os
import time

from executors.logs import LogStore, LogStream, Output
from executors.s3 import ObjectStore
from schemas.settings import Connections

LONGEST_SECONDS = 8.0


def unreachable():
    connections = Connections(s3_endpoint="http://127.0.0.1:9", s3_access_key="a", s3_secret_key="b")
    return LogStore(ObjectStore(connections), "tidemill")


def test_an_unreachable_s3_delays_the_end_for_a_bounded_time():
    async def body():
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.write(writing, b"x" * 20_000)
        output = Output(reading, LogStream(unreachable(), "a@1", 1), log_max_bytes=100_000)
        os.close(writing)
        ended = asyncio.Event()
        output.at_end(ended.set)
        await ended.wait()
        began = time.monotonic()
        await output.finish_log()
        assert time.monotonic() - began < LONGEST_SECONDS
        return output.collected()

    collected = asyncio.run(body())
    assert (collected.total_bytes, collected.log_uri) == (20_000, None)
    assert "left out" in collected.text


def test_who_keeps_the_pipe_open_is_not_waited_for():
    async def body():
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.write(writing, b"said")
        output = Output(reading, LogStream(unreachable(), "a@1", 1), log_max_bytes=100_000)
        ended = asyncio.Event()
        output.at_end(ended.set)
        async with asyncio.timeout(LONGEST_SECONDS):
            await ended.wait()
        os.close(writing)
        return output.collected().text

    assert asyncio.run(body()) == "said"
