"""The record with which an owner asks all executors, on the topic `control`, to stop an attempt (protocol L4, L6)."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from schemas.ids import RunId

LOOK_BACK = timedelta(hours=1)
"""A starting executor reads the kills of this time, and no executor remembers a kill for longer."""


class Kill(msgspec.Struct, frozen=True, kw_only=True):
    """The executor that has the attempt ends it and reports the end; the others remember the kill for `valid_for`.

    The owner sends it again while a heartbeat still lists the attempt. Its partition is that of the run's owner, its
    key the run id.
    """

    run_id: RunId
    token: int
    """The attempt's fencing token, so that the kill does not stop a later attempt of the run."""
    grace: timedelta
    """Time between TERM and KILL; zero: KILL at once."""
    valid_for: timedelta
    """`valid_for` plus `claim_grace` of the dispatch: later no executor starts the attempt (protocol D2, L6)."""
