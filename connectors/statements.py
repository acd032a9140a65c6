"""The SQL of the connectors: one file for each statement, by its name."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def sql(name: str) -> bytes:
    """The statement in `connectors/<name>.sql`."""
    return resources.files("connectors").joinpath(f"{name}.sql").read_bytes()
