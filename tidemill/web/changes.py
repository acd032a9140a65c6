"""The kinds of changes that a live region can wait for."""

from __future__ import annotations

from typing import Literal

Change = Literal["runs", "problems", "run", "background"]
"""`runs`: any run changed; `problems`: a new problem; `run`: the run that the page is about changed;
`background`: a new reading of `backend.background`."""
