"""An executor is ready while it claims; otherwise it says why it does not."""

from __future__ import annotations

import math

import msgspec
import pytest

from executors.readiness import Standing, supervisor_problem, why_not_ready

CLAIMS = Standing(
    heartbeat_age_seconds=8.9,
    freshness_seconds=9.0,
    is_steady=True,
    has_orders=True,
    has_partitions=True,
    ill=None,
)


def test_an_executor_that_claims_is_ready():
    assert why_not_ready(CLAIMS) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"heartbeat_age_seconds": math.inf},
            "Kafka has not acknowledged a heartbeat since the start, so it claims nothing",
        ),
        ({"heartbeat_age_seconds": 9.0}, "Kafka has not acknowledged a heartbeat for 9 s, so it claims nothing"),
        ({"is_steady": False}, "it does not know the cluster time, so it claims nothing: see docs/clocks.md"),
        ({"has_orders": False}, "it has not read the kill orders from before its start yet"),
        ({"has_partitions": False}, "it has no partitions of one of its classes yet"),
        ({"ill": "the disk is full"}, "it is ill and has given its partitions back: the disk is full"),
        (
            {"ill": "the disk is full", "has_partitions": False},
            "it is ill and has given its partitions back: the disk is full",
        ),
    ],
)
def test_an_executor_that_does_not_claim_says_why(change, said):
    assert why_not_ready(msgspec.structs.replace(CLAIMS, **change)) == said


def test_a_supervisor_that_does_not_answer_in_time_is_the_problem():
    assert supervisor_problem(5.9, 6.0) is None
    assert supervisor_problem(6.0, 6.0) == "its process supervisor has not answered for 6 s, so no process starts"


def test_while_kafka_is_silent_that_is_the_reason():
    starting = msgspec.structs.replace(
        CLAIMS, heartbeat_age_seconds=math.inf, is_steady=False, has_orders=False, has_partitions=False
    )
    assert "Kafka" in why_not_ready(starting)
