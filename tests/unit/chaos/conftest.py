"""Histories that several tests of the judge begin with."""

from __future__ import annotations

import pytest

from tests.support.chaos_story import Story, occurrence


@pytest.fixture
def story() -> Story:
    """A job with three occurrences, of which each has run."""
    made = Story()
    made.job(end=20)
    for seconds in (0, 10, 20):
        made.ran(occurrence(seconds), seconds + 0.2, seconds + 1)
    return made


@pytest.fixture
def lost() -> Story:
    """The executor of the only run was killed; the lease ended at 15, and the next attempt began at 16."""
    made = Story()
    made.job(end=0)
    made.kill(0.3)
    made.ran_twice(occurrence(0), 0.1, 15, 16, 17)
    return made
