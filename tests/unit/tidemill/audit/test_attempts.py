"""The attempts of a status are matched with what was dispatched, claimed, started and ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from schemas.event import EndCause
from schemas.reasons import ReasonCode
from schemas.status import Attempt
from schemas.times import EPOCH, LATEST
from schemas.words import AttemptEnd
from tidemill.audit.attempts import Kept, Trace, Tried, executed_again, unmatched
from tidemill.audit.findings import Again, Finding, Tally

AT = datetime(2026, 12, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SETTLED = AT + timedelta(hours=1)
ALL = Kept(dispatches={"10s": EPOCH}, events=EPOCH)


def attempt(token=5, **fields):
    end = {"started_at": AT, "finished_at": AT + SECOND, "end": AttemptEnd.SUCCEEDED}
    return Attempt(**({"attempt": 1, "token": token, "timeout_class": "10s", "dispatched_at": AT} | end | fields))


def trace(**fields):
    """A success."""
    end = {"started_at": AT, "ended_at": AT + SECOND, "cause": EndCause.EXITED, "exit_code": 0, "has_end": True}
    sent = {"dispatches": 1, "dispatched_at": AT, "is_claimed": True, "is_reported": True}
    return Trace(**(sent | end | fields))


def run(*attempts, is_rerun=False):
    return Tried(owner="job", run_id="job@1", nominal_time=AT, attempts=attempts, is_rerun=is_rerun, place="status/0@1")


def found(attempts, traces, kept=ALL, settled=SETTLED):
    return [finding for finding, *_ in unmatched(run(*attempts), traces, kept, settled, Tally())]


OPEN = {"end": None, "finished_at": None}
NEVER_REPORTED = {"is_reported": False, "started_at": None, "ended_at": None, "cause": None, "has_end": False}


@pytest.mark.parametrize(
    ("of_attempt", "of_trace", "expected"),
    [
        ({}, {}, []),
        ({}, {"dispatches": 0}, [Finding.MISSING]),
        ({}, {"dispatches": 2}, [Finding.TWICE]),
        ({}, {"is_claimed": False}, [Finding.UNEXPECTED]),
        ({}, {"is_claimed": None}, []),  # the group has no offsets any more
        ({}, {"started_at": None}, [Finding.STATUS_LIE]),
        ({}, {"exit_code": 1}, [Finding.STATUS_LIE]),
        ({}, {"cause": EndCause.LIMIT}, [Finding.STATUS_LIE]),
        ({"end": AttemptEnd.FAILED}, {"has_end": False}, [Finding.STATUS_LIE]),
        ({"end": AttemptEnd.LOST}, {"has_end": False}, []),  # its owner decides that
        ({"end": AttemptEnd.FAILED}, {"exit_code": 0}, []),  # such as a result that is not JSON
        (OPEN, {"has_end": False}, []),
        (OPEN | {"started_at": None}, NEVER_REPORTED, [Finding.MISSING]),
        (OPEN | {"started_at": None}, NEVER_REPORTED | {"is_claimed": False}, []),  # it waits for an executor
        (OPEN | {"started_at": None}, NEVER_REPORTED | {"settles_in": timedelta(hours=2)}, []),
    ],
)
def test_an_attempt_needs_one_dispatch_and_the_reports_that_its_state_claims(of_attempt, of_trace, expected):
    assert found([attempt(**of_attempt)], {5: trace(**of_trace)}) == expected


def test_records_that_are_not_kept_are_not_missed():
    since = AT + SECOND
    tally = Tally()
    kept = Kept(dispatches={"10s": since}, events=since)
    assert list(unmatched(run(attempt()), {}, kept, SETTLED, tally)) == []
    assert tally.before_kept == 1
    assert found([attempt()], {}, Kept(dispatches={}, events=since)) == []
    assert found([attempt()], {5: trace(dispatches=0)}, Kept(dispatches={"10s": EPOCH}, events=since)) == [
        Finding.MISSING
    ]


def test_an_emptied_topic_says_nothing_of_when_the_others_are_complete():
    kept = Kept(dispatches={"10s": AT, "1h": LATEST}, events=EPOCH)
    assert kept.complete_from == AT
    assert found([attempt(timeout_class="1h")], {}, kept) == [Finding.STATUS_LIE, Finding.STATUS_LIE]


@pytest.mark.parametrize(
    ("token", "of_trace", "expected"),
    [
        (7, {}, [Finding.UNEXPECTED]),
        (3, {}, []),  # of an earlier life of the run, or dropped from a long list
        (7, {"is_passed_by": True}, []),
        (7, {"dispatched_at": SETTLED + SECOND}, []),
        (7, {"dispatches": 0, "dispatched_at": None}, [Finding.UNEXPECTED]),
    ],
)
def test_an_attempt_that_no_status_has_is_unexpected(token, of_trace, expected):
    assert found([attempt()], {5: trace(), token: trace(**of_trace)}) == expected


@pytest.mark.parametrize("is_rerun", [True, False])
def test_a_rerun_that_waits_has_none_of_its_earlier_attempts(is_rerun):
    waiting = run(is_rerun=is_rerun)
    found = [finding for finding, *_ in unmatched(waiting, {5: trace()}, ALL, SETTLED, Tally())]
    assert found == ([] if is_rerun else [Finding.UNEXPECTED])


def again(first, second, of_first):
    traces = {1: trace(**of_first), 2: trace()}
    return list(executed_again(run(first, second), traces, SECOND / 10))


LOST = {"token": 1, "end": AttemptEnd.LOST, "finished_at": None, "reason_code": ReasonCode.LEASE_EXPIRED}
LATER = {"token": 2, "attempt": 2, "started_at": AT + 20 * SECOND, "finished_at": AT + 21 * SECOND}


@pytest.mark.parametrize(
    ("of_first", "ran_until"),
    [
        ({"ended_at": None, "cause": None, "has_end": False}, None),
        ({"ended_at": AT + 10 * SECOND}, None),
        ({"ended_at": AT + 30 * SECOND}, AT + 30 * SECOND),
        # Its supervisor ended it before the lease did; a frozen executor noticed later.
        ({"ended_at": AT + 30 * SECOND, "cause": EndCause.LEASE}, None),
    ],
)
def test_a_lost_lease_explains_a_second_execution(of_first, ran_until):
    (one,) = again(attempt(**LOST), attempt(**LATER), of_first)
    assert isinstance(one, Again)
    assert (one.token, one.next_attempt, one.reason_code, one.ran_until) == (1, 2, "lease_expired", ran_until)


def test_without_a_lost_lease_two_processes_at_once_are_a_mistake():
    failed = attempt(token=1, end=AttemptEnd.FAILED)
    ((finding, sentence, _),) = again(failed, attempt(**LATER), {"ended_at": AT + 30 * SECOND})
    assert finding is Finding.TWICE
    assert "no lease was lost" in sentence
    assert again(failed, attempt(**LATER), {"ended_at": AT + 10 * SECOND}) == []
