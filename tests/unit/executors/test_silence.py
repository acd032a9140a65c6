"""A supervisor counts as dead after a time without an answer, not after a number of questions."""

from __future__ import annotations

import pytest

from executors.silence import Silence


@pytest.fixture
def silence():
    return Silence()


def test_a_burst_of_renewals_is_no_silence(silence):
    for sent in range(100):
        silence.ask(float(sent))
    assert silence.seconds == 0
    silence.elapse(3.0)
    assert silence.seconds == 3


def test_a_supervisor_without_open_questions_is_not_silent(silence):
    silence.elapse(3.0)
    silence.ask(1.0)
    silence.answer(1.0)
    silence.elapse(3.0)
    assert silence.seconds == 0


def test_a_late_answer_ends_a_silence_and_what_is_still_unanswered_begins_another(silence):
    for sent in (1.0, 2.0):
        silence.ask(sent)
        silence.elapse(3.0)
    silence.answer(1.0)
    assert silence.seconds == 0
    silence.elapse(3.0)
    assert silence.seconds == 3
