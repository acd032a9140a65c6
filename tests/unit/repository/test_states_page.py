"""docs/states.md matches the tables in the code."""

from __future__ import annotations

from docs.states import ACTS, ATTEMPT_ENDS, FACTS, PAGE, PHASES, RUN_STATES, page
from executors.attempt import Act, Fact, Phase
from schemas.words import AttemptEnd, RunState


def test_the_page_is_what_make_states_writes():
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make states`"


def test_every_word_has_a_meaning():
    enums = (RunState, AttemptEnd, Phase, Fact, Act)
    for words, meanings in zip(enums, (RUN_STATES, ATTEMPT_ENDS, PHASES, FACTS, ACTS), strict=True):
        assert list(words) == list(meanings)
