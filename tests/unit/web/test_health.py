"""The health of the parts, in one line each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from schemas.reasons import ProblemCode, ReasonCode
from tidemill.lag import Waiting
from tidemill.members import Workers
from tidemill.web.health import lines
from tidemill.web.meanings import meanings
from tidemill.web.parts import Parts

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
EXECUTOR = {"name": "e", "state": "running", "slots": 8, "free": 3}
WELL = Parts(
    partitions=2,
    connector="RUNNING",
    waiting={"sink": Waiting(records=0, since=None)},
    executors=[EXECUTOR],
    workers=Workers(group="g", state="stable", held={0: "s-0", 1: "s-0"}),
    clocks={},
    problems=(),
)


def states(parts):
    return {each.part: each.state for each in lines(parts, NOW)}


def test_a_healthy_deployment_is_well():
    assert set(states(WELL).values()) == {"ok"}
    said = " ".join(each.sentence for each in lines(WELL, NOW))
    assert "1 worker holds 2 partitions" in said
    assert "1 executor has 3 of 8 slots free" in said


@pytest.mark.parametrize(
    ("change", "part", "state"),
    [
        ({"connector": "FAILED"}, "Connector", "bad"),
        ({"waiting": None, "problems": ("no broker answers",)}, "Kafka", "bad"),
        ({"waiting": {"sink": Waiting(records=9, since=NOW - timedelta(seconds=11))}}, "Sink", "warn"),
        ({"workers": Workers(group="g", state="empty", held={})}, "Stream workers", "bad"),
        ({"workers": None}, "Stream workers", "unknown"),
        ({"executors": []}, "Executors", "bad"),
        ({"executors": [EXECUTOR | {"state": "silent"}]}, "Executors", "bad"),
        ({"executors": [EXECUTOR, EXECUTOR | {"name": "x", "state": "silent"}]}, "Executors", "warn"),
        ({"executors": [EXECUTOR | {"state": "ill"}]}, "Executors", "bad"),
        ({"executors": [EXECUTOR, EXECUTOR | {"name": "x", "state": "ill"}]}, "Executors", "warn"),
        ({"executors": [EXECUTOR | {"free": 0}]}, "Executors", "warn"),
    ],
)
def test_what_is_wrong_is_named(change, part, state):
    assert states(replace(WELL, **change))[part] == state


def test_before_the_first_look_nothing_is_known():
    assert states(None) == {"All parts": "unknown"}


@pytest.mark.parametrize("enum", [ProblemCode, ReasonCode])
def test_every_code_has_a_meaning(enum):
    assert set(meanings(enum)) == {each.value for each in enum}
    assert all(each.endswith(".") for each in meanings(enum).values())
