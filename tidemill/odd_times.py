"""Times that Postgres holds and Python does not, such as infinity or a year before Christ: they stay text."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.types.datetime import DateLoader, IntervalLoader, TimestampLoader, TimestamptzLoader

LOADERS = {
    "date": DateLoader,
    "timestamp": TimestampLoader,
    "timestamptz": TimestamptzLoader,
    "interval": IntervalLoader,
}
"""Those in Python: the ones in C have no subclasses."""


def load_odd_times(connection: psycopg.Connection[Any]) -> None:
    """For the queries of this connection."""
    for name, loader in LOADERS.items():
        connection.adapters.register_loader(name, _or_text(loader))


def _or_text(known: Any) -> Any:
    class OrText(known):  # type: ignore[misc]  # psycopg asks for a subclass of its loader
        def load(self, data: Buffer) -> Any:
            try:
                return super().load(data)
            except psycopg.DataError:
                return bytes(data).decode()

    return OrText
