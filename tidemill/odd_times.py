"""Loads times that Postgres can hold and Python cannot, such as infinity or a year BC, as text."""

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
"""The loaders in Python; those in C cannot be subclassed."""


def load_odd_times(connection: psycopg.Connection[Any]) -> None:
    """Register the loaders on this connection."""
    for name, loader in LOADERS.items():
        connection.adapters.register_loader(name, _or_text(loader))


def _or_text(known: Any) -> Any:
    class OrText(known):  # type: ignore[misc]  # psycopg requires a subclass of its loader
        def load(self, data: Buffer) -> Any:
            try:
                return super().load(data)
            except psycopg.DataError:
                return bytes(data).decode()

    return OrText
