"""An executor is ready while it claims; otherwise it says why it does not."""

from __future__ import annotations

import math

import msgspec
import pytest

from executors.readiness import Standing, why_not_ready

CLAIMS = Standing(
    heartbeat_age_seconds=8.9,
    freshness_seconds=9.0,
    is_steady=True,
    has_orders=True,
    has_partitions=True,
    supervisor_silence_seconds=5.9,
    patience_seconds=6.0,
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
        ({"supervisor_silence_seconds": 6.0}, "its process supervisor has not answered for 6 s, so no process starts"),
    ],
)
def test_an_executor_that_does_not_claim_says_why(change, said):
    assert why_not_ready(msgspec.structs.replace(CLAIMS, **change)) == said


def test_while_kafka_is_silent_that_is_the_reason():
    starting = msgspec.structs.replace(
        CLAIMS, heartbeat_age_seconds=math.inf, is_steady=False, has_orders=False, has_partitions=False
    )
    assert "Kafka" in why_not_ready(starting)
