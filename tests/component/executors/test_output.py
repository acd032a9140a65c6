"""Output through a real pipe, with an S3 that does not answer."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import closing

import pytest

from executors.logs import LogStore, LogStream, Output
from executors.s3 import ObjectStore
from schemas.settings import Connections
from tests.support.executor_figures import new_metrics

LONGEST_SECONDS = 8.0


def connections(endpoint):
    return Connections(s3_endpoint=endpoint, s3_access_key="a", s3_secret_key="b")


def unreachable():
    return LogStore(ObjectStore(connections("http://127.0.0.1:9")), "tidemill")


def test_an_unreachable_s3_delays_the_end_for_a_bounded_time_and_the_text_says_what_is_missing():
    async def body():
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.write(writing, b"x" * 20_000)
        output = Output(reading, LogStream(unreachable(), "a@1", 1), new_metrics(), log_max_bytes=100_000)
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
    assert "left out; 20000 bytes of the log did not reach S3 " in collected.text


@pytest.fixture
def hanging():
    """An S3 that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        with closing(LogStore(ObjectStore(connections(endpoint)), "tidemill")) as made:
            yield made


def test_while_s3_hangs_one_upload_waits_for_it_and_no_more(hanging):
    async def body():
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.write(writing, b"x" * 20_000)
        output = Output(reading, LogStream(hanging, "a@1", 1), new_metrics(), log_max_bytes=100_000)
        output.at_end(lambda: None)
        uploads = {asyncio.create_task(output.upload()) for _ in range(20)}
        done, waiting = await asyncio.wait(uploads, return_when=asyncio.FIRST_COMPLETED)
        os.close(writing)
        output.close()
        for each in waiting:
            each.cancel()
        return len(done), len(waiting)

    assert asyncio.run(body()) == (19, 1)


def test_a_process_that_keeps_the_pipe_open_does_not_delay_the_end():
    async def body():
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.write(writing, b"said")
        output = Output(reading, LogStream(unreachable(), "a@1", 1), new_metrics(), log_max_bytes=100_000)
        ended = asyncio.Event()
        output.at_end(ended.set)
        async with asyncio.timeout(LONGEST_SECONDS):
            await ended.wait()
        os.close(writing)
        return output.collected().text

    assert asyncio.run(body()) == "said"
