"""Another executor is better off if its newest heartbeat says that it runs and is well."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from executors.elsewhere import served_by_others
from schemas.heartbeat import ExecutorState, Heartbeat, Slots
from schemas.ids import ExecutorId

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def beat(name, seconds=0, ill=None, state=ExecutorState.RUNNING):
    return Heartbeat(
        executor_id=ExecutorId(name), name=name, host="h", version="1", state=state,
        at=NOW + timedelta(seconds=seconds), interval=timedelta(seconds=3), ill=ill,
        slots=(Slots(timeout_class="10s", total=1, free=1),), windows=(), attempts=(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("beats", "classes"),
    [
        ([beat("other")], {"10s"}),
        ([beat("own")], set()),
        ([beat("other", ill="S3")], set()),
        ([beat("other", state=ExecutorState.DRAINING)], set()),
        ([beat("other", 1, ill="S3"), beat("other", 0)], set()),
        ([beat("other", 0, ill="S3"), beat("other", 1)], {"10s"}),
        ([beat("other", ill="S3"), beat("third")], {"10s"}),
    ],
)
def test_only_another_executor_that_runs_and_is_well_serves_its_classes(beats, classes):
    assert served_by_others(beats, ExecutorId("own")) == classes
