"""The planned action for each observed state of the connector."""

from __future__ import annotations

import pytest

from connectors.owned import REVISION
from connectors.plan import (
    Actual,
    Create,
    DropLostSlot,
    RestartConnector,
    RestartTask,
    Task,
    Update,
    describe,
    plan,
    root_cause,
)

DESIRED = {
    "name": "tidemill-source",
    "tidemill.revision": "2",
    "slot.name": "tidemill",
    "poll.interval.ms": "10",
    "database.password": "secret",
    "tidemill.options": "name,tidemill.revision,slot.name,poll.interval.ms,database.password",
}
OLDER = DESIRED | {
    "tidemill.revision": "1",
    "database.sslrootcert": "/etc/ca.pem",
    "tidemill.options": "name,tidemill.revision,database.sslrootcert",
}
NEWER = DESIRED | {"tidemill.revision": "3", "poll.interval.ms": "500", "new": "option"}
HIDDEN = "${file:/run/secrets/tidemill.properties:password}"
RUNNING = Task(number=0, state="RUNNING")
FAILED = Task(
    number=0, state="FAILED", trace="org.x.RetriableException: stopped\n\tat a.b\nCaused by: no slot\n\tat c.d"
)


def actual(**changes):
    return Actual(**({"config": DESIRED, "state": "RUNNING", "tasks": (RUNNING,), "slot_status": "reserved"} | changes))


CASES = {
    "no connector is created": (None, [Create(config=DESIRED)]),
    "another configuration is updated": (actual(config={"name": "x"}), [Update(config=DESIRED)]),
    "another configuration is updated even when the task failed": (
        actual(config={"name": "x"}, tasks=(FAILED,)),
        [Update(config=DESIRED)],
    ),
    "what runs is left alone": (actual(), []),
    "what an operator added stays": (actual(config=DESIRED | {"errors.log.enable": "true"}), []),
    "what an operator added stays beside what is put right": (
        actual(config={"errors.log.enable": "true"}),
        [Update(config=DESIRED | {"errors.log.enable": "true"})],
    ),
    "an option that we wrote and no longer write goes": (actual(config=OLDER), [Update(config=DESIRED)]),
    "what an operator added stays beside an option that goes": (
        actual(config=OLDER | {"errors.log.enable": "true"}),
        [Update(config=DESIRED | {"errors.log.enable": "true"})],
    ),
    "a secret that an operator put out of the configuration stays there": (
        actual(config=DESIRED | {"database.password": HIDDEN}),
        [],
    ),
    "a secret that an operator put out of the configuration stays there beside what is put right": (
        actual(config={"database.password": HIDDEN}),
        [Update(config=DESIRED | {"database.password": HIDDEN})],
    ),
    "the configuration of an older release is updated": (
        actual(config=DESIRED | {"tidemill.revision": "1", "poll.interval.ms": "500"}),
        [Update(config=DESIRED)],
    ),
    "the configuration of a newer release stays": (actual(config=NEWER), []),
    "a failed task is restarted with the configuration of a newer release": (
        actual(config=NEWER, tasks=(FAILED,)),
        [RestartTask(number=0)],
    ),
    "a failed task is restarted": (actual(tasks=(FAILED,)), [RestartTask(number=0)]),
    "only the failed one of two tasks is restarted": (
        actual(tasks=(RUNNING, Task(number=1, state="FAILED"))),
        [RestartTask(number=1)],
    ),
    "a failed connector is restarted": (actual(state="FAILED", tasks=()), [RestartConnector()]),
    "a lost slot is dropped and the task restarted": (
        actual(tasks=(FAILED,), slot_status="lost"),
        [DropLostSlot(slot_name="tidemill"), RestartTask(number=0)],
    ),
    "a lost slot is dropped though the task still tries": (
        actual(slot_status="lost"),
        [DropLostSlot(slot_name="tidemill"), RestartTask(number=0)],
    ),
    "a missing slot alone is the task's own affair": (actual(slot_status=None), []),
    "a connector that a person paused stays paused": (
        actual(state="PAUSED", tasks=(Task(number=0, state="PAUSED"),)),
        [],
    ),
    "a connector without a task yet is waited for": (actual(tasks=()), []),
}


@pytest.mark.parametrize(("seen", "actions"), CASES.values(), ids=CASES)
def test_the_plan_for(seen, actions):
    assert plan(DESIRED, seen) == actions


def test_a_reference_that_the_settings_name_replaces_a_password_and_another_reference():
    desired = DESIRED | {"database.password": HIDDEN}
    for found in ("secret", "${env:PASSWORD}"):
        assert plan(desired, actual(config=DESIRED | {"database.password": found})) == [Update(config=desired)]


def test_a_connector_of_a_newer_release_is_reported():
    newer = describe(actual(config=NEWER | {"tidemill.revision": str(REVISION + 1)}))
    assert newer.endswith(f"(revision {REVISION + 1}, this release has {REVISION}): it stays unchanged")
    assert "newer" not in describe(actual(config={"tidemill.revision": str(REVISION)}))
    assert "newer" not in describe(actual(config={"tidemill.revision": "somebody's"}))


def test_only_a_connector_with_a_running_task_runs():
    assert actual().runs
    assert not actual(tasks=()).runs
    assert not actual(tasks=(FAILED,)).runs
    assert not actual(state="UNASSIGNED").runs


def test_a_failure_is_described_by_its_root_cause():
    assert "task 0 is FAILED: org.x.RetriableException: stopped <- no slot" in describe(actual(tasks=(FAILED,)))
    assert describe(None) == "the connector does not exist"
    assert root_cause("") == ""
