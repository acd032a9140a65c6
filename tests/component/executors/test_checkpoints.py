"""Checkpoints between attempts, on a real executor and S3."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from executors.attempt_dirs import AttemptDir
from executors.checkpoints import NO_CHECKPOINT, Checkpoints
from executors.s3 import ObjectStore, UnreachableError
from schemas.checkpoints import checkpoint_key
from schemas.event import Claimed, EndCause, Ended, Started
from schemas.settings import Connections

ADD_ONE = 'cd "$TIDEMILL_CHECKPOINT"; echo $TIDEMILL_ATTEMPT >> attempts; cat attempts; exit 1'
LIST = 'ls -A "$TIDEMILL_CHECKPOINT"; exit 1'
AT_TERM = """trap 'echo late > "$TIDEMILL_CHECKPOINT/said"; exit 0' TERM; sleep 60 & wait"""


@pytest.fixture
def owner(shared_executor):
    return shared_executor[0]


@pytest.fixture
def again(owner):
    """Dispatches the next attempt of the run with the checkpoint of the last; returns its end."""

    def run(order, executable, checkpoint):
        return owner.run(executable, run_id=order.run_id, attempt=order.attempt + 1, checkpoint=checkpoint)

    return run


def test_each_attempt_continues_from_the_checkpoint_of_the_one_before(owner, objects, again):
    script = objects.script(ADD_ONE)
    order = owner.order(script)
    owner.dispatch(order)
    first = owner.end_of(order)
    assert first.checkpoint == f"s3://tidemill/{checkpoint_key(order.run_id, order.token)}"
    second = again(order, script, first.checkpoint)
    third = again(order, script, second.checkpoint)
    assert [each.output for each in (first, second, third)] == ["1\n", "1\n2\n", "1\n2\n2\n"]
    assert len({each.checkpoint for each in (first, second, third)}) == 3
    assert [each.checkpoint_problem for each in (first, second, third)] == [None] * 3


def test_a_process_can_write_a_checkpoint_at_its_limit(owner, objects, again):
    order = owner.order(objects.script(AT_TERM), limit=timedelta(seconds=1))
    owner.dispatch(order)
    ended = owner.end_of(order)
    assert (ended.cause, ended.exit_code) == (EndCause.LIMIT, 0)
    assert again(order, objects.script(LIST), ended.checkpoint).output == "said\n"


@pytest.mark.parametrize(
    "script",
    ["exit 1", 'touch "$TIDEMILL_CHECKPOINT/done"', 'rmdir "$TIDEMILL_CHECKPOINT"; exit 1'],
    ids=["nothing written", "success", "removed"],
)
def test_no_checkpoint_is_stored_for_an_empty_directory_or_a_last_attempt(owner, objects, script):
    ended = owner.run(objects.script(script))
    assert (ended.checkpoint, ended.checkpoint_problem) == (None, None)


def test_a_cancelled_run_stores_no_checkpoint(owner, shared_executor, objects, until):
    order = owner.order(objects.script('touch "$TIDEMILL_CHECKPOINT/x" cancelled; sleep 60'))
    owner.dispatch(order)
    owner.first(order, Started)
    until(lambda: shared_executor[1].made("cancelled"))
    owner.kill(order)
    ended = owner.end_of(order)
    assert (ended.cause, ended.checkpoint) == (EndCause.CANCELLED, None)


def test_an_attempt_can_empty_its_checkpoint(owner, objects, again):
    order = owner.order(objects.script(ADD_ONE))
    owner.dispatch(order)
    emptied = again(order, objects.script('rm "$TIDEMILL_CHECKPOINT"/*; exit 1'), owner.end_of(order).checkpoint)
    assert again(order, objects.script(LIST), emptied.checkpoint).output == ""


@pytest.mark.parametrize("make", ["mkfifo", "ln -s /dev/null"])
def test_files_beside_the_directory_are_not_in_the_checkpoint(owner, objects, again, make):
    order = owner.order(
        objects.script(f'{make} "$TIDEMILL_CHECKPOINT.tar"; touch "$TIDEMILL_CHECKPOINT/x"; exit 1'),
    )
    owner.dispatch(order)
    ended = owner.end_of(order)
    assert ended.checkpoint_problem is None
    assert again(order, objects.script(LIST), ended.checkpoint).output == "x\n"


def test_a_too_large_checkpoint_is_not_stored_and_reported(owner, objects):
    ended = owner.run(objects.script('truncate -s 65M "$TIDEMILL_CHECKPOINT/big"; exit 1'))
    assert ended.checkpoint is None
    assert ended.checkpoint_problem == "its checkpoint was not kept: it is larger than 64 MB"


@pytest.mark.parametrize(("content", "why"), [(b"no tar" * 200, "cannot be unpacked"), (None, "does not exist")])
def test_without_a_usable_checkpoint_an_attempt_starts_empty(owner, objects, content, why):
    key = f"checkpoints/broken/{len(why)}.tar"
    uri = objects.put(content, key)[0] if content else f"s3://tidemill/{key}"
    order = owner.order(objects.script('ls -A "$TIDEMILL_CHECKPOINT"'), checkpoint=uri)
    owner.dispatch(order)
    ended = owner.end_of(order)
    assert [type(each) for each in owner.of(order)] == [Claimed, Started, Ended]
    assert (ended.exit_code, ended.output) == (0, "")
    assert ended.checkpoint_problem.startswith("it started without the previous checkpoint: ")
    assert why in ended.checkpoint_problem


@pytest.fixture
def directory(tmp_path):
    made = AttemptDir(path=tmp_path, executable=tmp_path / "executable")
    made.checkpoint.mkdir()
    (made.checkpoint / "x").touch()
    return made


@pytest.fixture
def cut_off():
    """From S3."""
    limit = timedelta(seconds=1)
    store = ObjectStore(Connections(s3_endpoint="http://127.0.0.1:1", s3_access_key="a", s3_secret_key="b"))
    made = Checkpoints(store, "tidemill", keep_timeout=limit, fetch_timeout=limit)
    yield made
    made.close()


def test_an_end_waits_for_s3_up_to_its_limit(owner, cut_off, directory):
    kept = asyncio.run(cut_off.store(owner.order(("s3://a/b", None)), directory, NO_CHECKPOINT))
    assert kept.uri is None
    assert kept.problem.startswith("its checkpoint was not kept: S3 ")


def test_a_checkpoint_is_not_dropped_while_s3_does_not_answer(cut_off, directory):
    with pytest.raises(UnreachableError, match="checkpoints/a/1"):
        asyncio.run(cut_off.restore("s3://tidemill/checkpoints/a/1.tar", directory))
