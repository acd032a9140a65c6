"""The runner with real processes: a fault of one attempt ends only that attempt."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import resource
import threading
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from executors.claim import ClaimDecision
from executors.runner import Runner
from executors.s3 import Download
from schemas.confinement import Capabilities, Sandbox
from schemas.event import EndCause, Ended, Rejected
from schemas.result import Result
from tests.support.attempt_runner import RecordingProducer, claim, make_runner
from tests.support.raw_json import raw
from tests.support.waiting import eventually

WAIT_SECONDS = 15.0
SCRIPTS = {
    "good": "echo hello",
    "fails": "exit 1",
    "counts": "wc -c",
    "talks": "head -c 20000 /dev/zero; echo done",
    "raw": "printf '\\377\\000\\303'",
    "leaves": 'touch "$TIDEMILL_CHECKPOINT/x"; exit 1',
    "stays": """setsid -f env -i HOME="$HOME" sh -c 'while :; do touch "$HOME/x" y; done' > /dev/null 2>&1
        until [ -e x ]; do :; done; pwd""",
    "slow": "sleep 1.5",
    "looks": "echo $HOME; pwd -P; ls -A . ../checkpoint",
    "writes": """{ printf '"'; head -c 5000 /dev/zero | tr '\\0' x; printf '"'; } > "$TIDEMILL_RESULT\"""",
}
MISTAKE = "error in the executor: "


def script(text):
    return b"#!/bin/sh\n" + text.encode()


class Storage:
    """An S3 that has executables, and raises an unexpected error on every other call."""

    def download(self, address, target, *, max_bytes, until):
        data = script(SCRIPTS[address.key])
        target.write_bytes(data)
        return Download(etag="x", sha256=hashlib.sha256(data).hexdigest(), size=len(data))

    def etag(self, _):
        raise ZeroDivisionError("no such thing")

    def put(self, *_):
        raise ZeroDivisionError("no such thing")

    put_file = read = put


def attempt(token, name, **changes):
    known = {"sha256": hashlib.sha256(script(SCRIPTS.get(name, ""))).hexdigest(), **changes}
    return claim(token, executable=f"s3://bucket/{name}", run_id=f"dag#r/{name}", **known)


@pytest.fixture
def ends_of(tmp_path):
    """The ends of attempts that are claimed together."""

    async def play(claims):
        producer = RecordingProducer()
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(WAIT_SECONDS):
            runner = make_runner(producer, Storage(), tmp_path, tasks)
            runner.on_claimed("10s", claims)
            while runner.attempts:
                producer.acknowledge_all()
                await asyncio.sleep(0.01)
            runner.close()
            runner.link.close()
        ends = [each for each in producer.events() if isinstance(each, Ended | Rejected)]
        return sorted(ends, key=lambda each: each.token)

    return lambda *claims: asyncio.run(play(claims))


@pytest.fixture
def ends_in_turn(tmp_path):
    """The ends of attempts, each claimed after the one before has ended."""

    async def play(names):
        producer = RecordingProducer()
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(WAIT_SECONDS):
            runner = make_runner(producer, Storage(), tmp_path, tasks)
            for number, name in enumerate(names):
                runner.on_claimed("10s", [attempt(number, name)])
                while runner.attempts:
                    producer.acknowledge_all()
                    await asyncio.sleep(0.01)
            runner.close()
            runner.link.close()
        return [each for each in producer.events() if isinstance(each, Ended)]

    return lambda *names: asyncio.run(play(names))


def test_a_surviving_process_cannot_write_into_the_next_attempts_directory(ends_in_turn):
    stays, *looks = ends_in_turn("stays", "looks", "looks")
    homes = {stays.output.strip()}
    for each in looks:
        home, cwd, *seen = each.output.split()
        assert (home, seen) == (cwd, [".:", "../checkpoint:"])
        homes.add(home)
    assert len(homes) == 3


def test_an_end_names_what_may_be_left_of_its_attempt(ends_of, monkeypatch):
    """Without a sandbox, no mark tells whether a process belongs to this attempt or to the other one."""
    monkeypatch.setattr("tests.support.attempt_runner.BASIC", Capabilities(default=Sandbox.NONE))
    stays, slow = ends_of(attempt(1, "stays"), attempt(2, "slow"))
    assert stays.left_problem.startswith("1 processes that may be its own, or of an attempt that runs, are left: ")
    assert (slow.exit_code, slow.left_problem) == (0, None)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("unknown", {}),
        ("good", {"sha256": None}),
        ("good", {"results": {"a": Result(bytes=5_000, uri="s3://bucket/a", sha256="0" * 64)}}),
    ],
    ids=["fetch", "question", "results"],
)
def test_an_unexpected_error_rejects_only_its_attempt(ends_of, name, changes):
    rejected, good = ends_of(attempt(1, name, **changes), attempt(2, "good"))
    assert isinstance(rejected, Rejected)
    assert rejected.reason.startswith(MISTAKE)
    assert (good.exit_code, good.output) == (0, "hello\n")


def test_an_unexpected_error_of_storage_is_reported_in_the_end(ends_of):
    leaves, writes, talks, good = ends_of(
        *(attempt(number, name) for number, name in enumerate(["leaves", "writes", "talks", "good"]))
    )
    assert leaves.checkpoint_problem == f"its checkpoint was not kept: {MISTAKE}ZeroDivisionError: no such thing"
    assert writes.result_lost == f"its result was not stored: {MISTAKE}ZeroDivisionError: no such thing"
    assert (talks.exit_code, talks.log_uri) == (0, None)
    assert good.exit_code == 0


@pytest.mark.parametrize("name", ["memfd_create", "pipe2"])
def test_a_process_that_cannot_be_started_for_lack_of_files_rejects_only_its_attempt(ends_of, monkeypatch, name):
    real, calls = getattr(os, name), []

    def fails_once(*args):
        calls.append(args)
        if len(calls) == 1:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(*args)

    monkeypatch.setattr("executors.supervisor_link.os." + name, fails_once)
    ends = ends_of(attempt(1, "good"), attempt(2, "good"))
    rejected, good = sorted(ends, key=lambda each: isinstance(each, Ended))
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "the process could not be started: [Errno 24] Too many open files"
    assert (good.exit_code, good.output) == (0, "hello\n")


def open_files(pid):
    folder = Path(f"/proc/{pid}/fd")
    return {int(each.name): str(each.readlink()) for each in folder.iterdir()}


def test_a_supervisor_that_gets_no_open_files_refuses_the_process_and_goes_on(ends_of, monkeypatch):
    on_claimed = Runner.on_claimed

    def claim_without_files(runner, *args):
        before = resource.prlimit(runner.link.pid, resource.RLIMIT_NOFILE)
        eventually(lambda: "anon_inode:[eventpoll]" in open_files(runner.link.pid).values())  # it has started
        used = open_files(runner.link.pid)
        first_free = next(number for number in count() if number not in used)
        resource.prlimit(runner.link.pid, resource.RLIMIT_NOFILE, (first_free, before[1]))
        on_claimed(runner, *args)

    monkeypatch.setattr(Runner, "on_claimed", claim_without_files)
    (rejected,) = ends_of(attempt(1, "good"))
    assert isinstance(rejected, Rejected)
    assert rejected.reason.endswith("the process supervisor or its host has too many open files")


def test_attempts_need_no_new_threads(ends_of, monkeypatch):
    on_claimed = Runner.on_claimed

    def refuse(_):
        raise RuntimeError("can't start new thread")

    def claim_without_threads(*args):
        monkeypatch.setattr(threading.Thread, "start", refuse)
        on_claimed(*args)

    monkeypatch.setattr(Runner, "on_claimed", claim_without_threads)
    leaves, writes, talks, good = ends_of(
        *(attempt(number, name) for number, name in enumerate(["leaves", "writes", "talks", "good"]))
    )
    assert "ZeroDivisionError" in leaves.checkpoint_problem
    assert "ZeroDivisionError" in writes.result_lost
    assert (talks.exit_code, good.output) == (0, "hello\n")


def test_a_short_binary_output_is_stored_unchanged(ends_of, monkeypatch):
    stored = []
    monkeypatch.setattr(Storage, "put", lambda _, address, data: stored.append((str(address), data)))
    raw, good = ends_of(attempt(1, "raw"), attempt(2, "good"))
    assert (raw.output_bytes, good.log_uri) == (3, None)
    assert stored == [(f"{raw.log_uri}{stored[0][0].rpartition('/')[2]}", b"\xff\0\xc3")]


def test_a_claim_that_asks_for_more_than_the_executor_gives_is_rejected_without_a_slot(tmp_path):
    async def body():
        producer = RecordingProducer()
        async with asyncio.TaskGroup() as tasks:
            runner = make_runner(producer, Storage(), tmp_path, tasks)
            asked = replace(claim(decision=ClaimDecision.UNMET), unmet="the executor cannot give sandbox strict")
            runner.on_claimed("10s", [asked])
            producer.acknowledge_all()
            idle, free = runner.is_idle, runner.slots.free("10s")
            runner.close()
            runner.link.close()
        return idle, free, producer.events()

    idle, free, (event,) = asyncio.run(body())
    assert (idle, free) == (True, 0), "the test holds all slots, and none is released"
    assert isinstance(event, Rejected)
    assert (event.is_unmet, event.reason) == (True, "the executor cannot give sandbox strict")


def test_a_runner_is_idle_after_expired_claims_are_reported_too(tmp_path):
    async def body():
        producer = RecordingProducer()
        async with asyncio.TaskGroup() as tasks:
            runner = make_runner(producer, Storage(), tmp_path, tasks)
            runner.on_claimed("10s", [claim(decision=ClaimDecision.EXPIRED)])
            before = runner.is_idle
            producer.acknowledge_all()
            after = runner.is_idle
            runner.close()
            runner.link.close()
        return before, after

    assert asyncio.run(body()) == (False, True)


class BrokenClock:
    """Converts no moment of this host; otherwise it is a clock."""

    def __init__(self, clock):
        self.now = clock.now

    def at(self, moment):
        raise ZeroDivisionError(f"no such moment: {moment}")


@pytest.mark.parametrize("name", ["good", "talks", "fails"])
def test_an_unexpected_error_while_an_end_is_reported_keeps_no_slot(tmp_path, name):
    async def body():
        producer = RecordingProducer()
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(WAIT_SECONDS):
            runner = make_runner(producer, Storage(), tmp_path, tasks)
            runner.clock = BrokenClock(runner.clock)
            before = runner.slots.free("10s")
            runner.on_claimed("10s", [attempt(1, name)])
            while runner.attempts:
                producer.acknowledge_all()
                await asyncio.sleep(0.01)
            freed = runner.slots.free("10s") - before
            runner.close()
            runner.link.close()
        return freed, producer.events()[-1]

    freed, end = asyncio.run(body())
    assert freed == 1
    assert (end.cause, end.exit_code) == (EndCause.EXITED, int(name == "fails"))
    assert end.result_lost.startswith(f"{MISTAKE}ZeroDivisionError: no such moment")


def is_open(file):
    fd, inode = file
    try:
        return os.fstat(fd).st_ino == inode
    except OSError:
        return False


@pytest.mark.parametrize(("size", "in_loop"), [(1_000, True), (1_000_000, False)])
def test_a_large_input_is_written_by_a_thread(ends_of, monkeypatch, size, in_loop):
    real, writers, made = os.memfd_create, [], []

    def noting(name, *args):
        fd = real(name, *args)
        if name == "stdin":
            writers.append(threading.current_thread() is threading.main_thread())
            made.append((fd, os.fstat(fd).st_ino))
        return fd

    monkeypatch.setattr("executors.supervisor_link.os.memfd_create", noting)
    (counted,) = ends_of(attempt(1, "counts", payload=raw("x" * size)))
    assert (counted.output.strip(), writers) == (str(size + 2), [in_loop])
    assert not [each for each in made if is_open(each)]
