"""Results of processes and inputs from others, on a real executor and S3."""

from __future__ import annotations

import msgspec
import orjson
import pytest

from schemas.event import Claimed, Ended, Rejected, Started
from schemas.ids import dag_run_of
from schemas.result import MAX_INLINE_BYTES, Result, result_key
from tests.support.raw_json import raw

WRITE = """{{ printf '"'; head -c {} /dev/zero | tr '\\0' x; printf '"'; }} > "$TIDEMILL_RESULT" """


@pytest.fixture
def owner(shared_executor):
    return shared_executor[0]


@pytest.fixture
def write(owner, objects):
    """Runs a script whose result is a string of `size` bytes; returns its end."""

    def run(size, run_id):
        executable = objects.script(WRITE.format(size - 2))
        order = owner.order(executable)
        order = msgspec.structs.replace(order, run_id=run_id(order))
        owner.dispatch(order)
        return order, owner.end_of(order)

    return run


def of_a_node(order):
    return f"{dag_run_of(order.run_id)}/n"


def of_a_job(order):
    return order.run_id


@pytest.mark.parametrize(
    ("size", "run_id", "is_inline", "is_stored"),
    [
        (1_024, of_a_node, True, False),
        (1_025, of_a_node, True, True),
        (MAX_INLINE_BYTES, of_a_job, True, False),
        (MAX_INLINE_BYTES + 1, of_a_job, False, True),
    ],
)
def test_a_result_is_in_the_event_or_in_s3_by_its_size(owner, objects, write, size, run_id, is_inline, is_stored):
    order, ended = write(size, run_id)
    uri = f"s3://tidemill/{result_key(order.run_id, order.token)}" if is_stored else None
    assert (ended.result.bytes, ended.result.uri, ended.result_problem) == (size, uri, None)
    assert (ended.result.value is not None) is is_inline
    if is_stored:
        results = {"far": Result(bytes=size, uri=uri, sha256=ended.result.sha256), "none": None}
        child = owner.order(objects.script("wc -c"), payload=raw({"day": 1}), results=results)
        owner.dispatch(child)
        around = len(orjson.dumps({"payload": {"day": 1}, "results": {"far": "", "none": None}})) - 2
        assert int(owner.end_of(child).output) == around + size
        assert [type(each) for each in owner.of(child)] == [Claimed, Started, Ended]


def test_a_result_with_a_wrong_checksum_is_refused_before_the_start(owner, objects):
    uri, _ = objects.put(b'"other"', "results/x/1.json")
    results = {"far": Result(bytes=7, uri=uri, sha256="ab" * 32)}
    ended = owner.run(objects.script("cat"), results=results)
    assert isinstance(ended, Rejected)
    assert "its checksum is not" in ended.reason


def test_a_failed_attempt_passes_no_result(owner, objects):
    ended = owner.run(objects.script('echo 1 > "$TIDEMILL_RESULT"; exit 3'))
    assert (ended.exit_code, ended.result, ended.result_problem) == (3, None, None)
