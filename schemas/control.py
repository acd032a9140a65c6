"""What an owner tells all executors on the topic `control`: stop this attempt (protocol L4, L6)."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from schemas.ids import RunId

LOOK_BACK = timedelta(hours=1)
"""An executor that starts reads what was said in this time, and none remembers a kill for longer."""


class Kill(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever has the attempt ends it and reports that it did; who does not, remembers it for `valid_for`.

    It is sent again while a heartbeat still lists the attempt. The placement is that of the run's owner, the key is
    the run id.
    """

    run_id: RunId
    token: int
    """The attempt's fencing token: a later attempt of the same run is not meant."""
    grace: timedelta
    """Between TERM and KILL; zero: KILL at once."""
    valid_for: timedelta
    """D and the claim grace of its dispatch: after that no executor begins the attempt (protocol D2, L6)."""
