"""What `tidemill doctor` says of what executors give to attempts, and of runs that wait for one that gives more."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from tidemill.doctor import check_groups, check_jobs
from tidemill.doctor.facts import Executor, Executors, Overdue
from tidemill.doctor.finding import Level

E0 = Executor(name="e-0", state="running", version="1", slots={"10s": 4}, free={"10s": 4}, gives="basic")
E1 = replace(E0, name="e-1")

NAMES = {"executors.sandbox", "executors.lacks", "executors.alike", "jobs.capable"}
"""The findings of which this file shows both sides."""


def found(check, *executors):
    facts = Executors(classes=("10s",), executors=executors, held={}, partitions={}, margins=())
    return [(each.level, each.sentence) for each in check(facts)]


@pytest.mark.parametrize(
    ("check", "executors", "said"),
    [
        (check_groups.sandbox, (E0, E1), [(Level.OK, "every executor runs jobs in a sandbox")]),
        (
            check_groups.sandbox,
            (E0, replace(E1, is_confining=False)),
            [
                (
                    Level.WARN,
                    "jobs on e-1 run without a sandbox: each can read and stop what its executor can",
                )
            ],
        ),
        (check_groups.lacks, (E0, E1), [(Level.OK, "executors can give whatever a job may ask for")]),
        (
            check_groups.lacks,
            (replace(E0, lacks=("no cgroup", "no bwrap")), replace(E1, lacks=("no cgroup",))),
            [(Level.WARN, "e-0: no bwrap"), (Level.WARN, "e-0 and e-1: no cgroup")],
        ),
        (check_groups.lacks, (replace(E0, state="silent", lacks=("no cgroup",)),), []),
        (check_groups.alike, (E0, E1), [(Level.OK, "all executors give the same: basic")]),
        (
            check_groups.alike,
            (E0, replace(E1, gives="strict")),
            [(Level.WARN, "executors differ: e-0: basic; e-1: strict")],
        ),
    ],
)
def test_what_executors_give_is_a_finding(check, executors, said):
    assert found(check, *executors) == said


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ((), (Level.OK, "no run waits for an executor that gives more")),
        ((("j#r", "waits for one"),), (Level.WARN, "j#r waits for one")),
        ((("j#r", "waits"), ("j#s", "waits"), ("j#t", "waits")), (Level.WARN, "j#r waits, and 2 more runs")),
    ],
)
def test_runs_that_wait_for_an_executor_that_gives_more_are_a_finding(runs, said):
    (finding,) = check_jobs.capable(Overdue(after=timedelta(minutes=2), names=(), unmet=runs))
    assert (finding.level, finding.sentence) == said
