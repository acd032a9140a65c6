"""The judge of chaos knows what faults delay, and which runs wait for which."""

from __future__ import annotations

import msgspec
import pytest

from tests.chaos.judge.history import Fault, Spec
from tests.chaos.judge.read import read_faults
from tests.chaos.judge.violations import Kind
from tests.support.chaos_story import Story, at, kinds, occurrence


@pytest.mark.parametrize(("fault", "found"), [("connect: freeze", []), ("sinks: freeze", [Kind.GHOST])])
def test_a_deletion_counts_when_the_streams_can_know_it(fault, found):
    story = Story()
    story.define(-6, Spec(schedule="*/10 * * * * *", overlap_policy="allow_all"))
    story.define(13, None)
    for seconds in (0, 10, 20):
        story.ran(occurrence(seconds), seconds + 0.1, seconds + 1)
    story.faults.append(Fault(at=at(12), fault=fault, target="x", until=at(25)))
    assert kinds(story) == found


@pytest.mark.parametrize(("end", "found"), [(30, []), (15, [Kind.LOST])])
def test_a_skip_because_another_one_waits_holds_if_two_were_open(end, found):
    story = Story()
    story.job(end=20, overlap_policy="buffer_one")
    story.ran(occurrence(0), 0.1, end)
    story.ran(occurrence(10), end + 0.1, end + 1)
    story.row(occurrence(20), "skipped", 20, 20, reason_code="overlap_skipped")
    assert kinds(story) == found


@pytest.mark.parametrize(("until", "left_out", "counts"), [(1, "it is gone", 0), (120, "no return", 1), (1, None, 1)])
def test_a_fault_that_was_given_up_after_a_while_may_have_happened(tmp_path, until, left_out, counts):
    log = tmp_path / "faults"
    log.write_bytes(
        b'{"at":"2026-11-30T12:00:00Z","fault":"none","target":""}\n'
        + msgspec.json.encode(Fault(at=at(0), fault="workers: kill", target="x", until=at(until), left_out=left_out))
    )
    assert len(read_faults(log)) == counts
