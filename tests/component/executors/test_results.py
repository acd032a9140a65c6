"""Results of processes and inputs from others, on a real executor and S3."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import orjson
import pytest

from executors.attempt_dirs import AttemptDir
from executors.results import Results
from executors.s3 import ObjectStore
from schemas.event import Claimed, Ended, Rejected, Started
from schemas.ids import dag_run_of
from schemas.result import MAX_INLINE_BYTES, Result, result_key
from schemas.settings import Connections
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


def test_a_long_run_id_leaves_a_result_and_a_log_in_s3(owner, objects):
    name = "\N{SNOWMAN}" * 200
    order = owner.order(objects.script(WRITE.format(300_000) + "; head -c 20000 /dev/zero | tr '\\0' y"))
    order = msgspec.structs.replace(order, run_id=f"{name}@2026-11-21T03:00:00Z")
    owner.dispatch(order)
    ended = owner.end_of(order)
    uri = f"s3://tidemill/{result_key(order.run_id, order.token)}"
    assert (ended.result_refused, ended.result.uri) == (None, uri)
    assert objects.read(ended.log_uri) == b"y" * 20_000


@pytest.fixture
def refusing(servers):
    """Collects results for a bucket that S3 refuses."""
    connections = Connections(
        s3_endpoint=servers["TIDEMILL_S3_ENDPOINT"], s3_access_key="unknown", s3_secret_key="wrong"
    )

    async def run(order, place):
        limit = timedelta(seconds=10)
        results = Results(ObjectStore(connections), "tidemill", keep_timeout=limit, fetch_timeout=limit)
        try:
            return await results.collect(order, place)
        finally:
            results.close()

    return lambda order, place: asyncio.run(run(order, place))


def test_a_result_that_s3_refuses_is_stated_and_the_success_stays(owner, refusing, tmp_path):
    place = AttemptDir(path=tmp_path, executable=tmp_path / "x")
    place.result.parent.mkdir()
    place.result.write_bytes(b'"' + b"x" * MAX_INLINE_BYTES + b'"')
    found = refusing(owner.order(("s3://tidemill/x", None)), place)
    assert (found.lost, found.problem) == (None, None)
    assert found.refused.startswith("its result is not kept: S3 refuses s3://tidemill/results/job-")
    assert found.result == Result(bytes=MAX_INLINE_BYTES + 2)
