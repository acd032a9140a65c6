"""Times that Postgres holds and Python does not, such as infinity or a year before Christ: they stay text."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.types.datetime import DateLoader, IntervalLoader, TimestampLoader, TimestamptzLoader


class _Date(DateLoader):
    def load(self, data: Buffer) -> Any:
        try:
            return super().load(data)
        except psycopg.DataError:
            return bytes(data).decode()


class _Timestamp(TimestampLoader):
    def load(self, data: Buffer) -> Any:
        try:
            return super().load(data)
        except psycopg.DataError:
            return bytes(data).decode()


class _Timestamptz(TimestamptzLoader):
    def load(self, data: Buffer) -> Any:
        try:
            return super().load(data)
        except psycopg.DataError:
            return bytes(data).decode()


class _Interval(IntervalLoader):
    def load(self, data: Buffer) -> Any:
        try:
            return super().load(data)
        except psycopg.DataError:
            return bytes(data).decode()


def load_odd_times(connection: psycopg.Connection[Any]) -> None:
    """For the queries of this connection."""
    loaders = {"date": _Date, "timestamp": _Timestamp, "timestamptz": _Timestamptz, "interval": _Interval}
    for name, loader in loaders.items():
        connection.adapters.register_loader(name, loader)
