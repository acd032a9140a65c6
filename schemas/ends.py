"""Tells whether a reader of a partition has reached the end offset that it asked for before it started to read."""

from __future__ import annotations

from typing import Any, Protocol

_PARTITION_EOF = -191
"""RD_KAFKA_RESP_ERR__PARTITION_EOF of librdkafka."""


class Delivered(Protocol):
    """The part of a client's message that this file uses."""

    def error(self) -> Any: ...

    def offset(self) -> int | None: ...


def is_end_of_file(message: Delivered) -> bool:
    """Whether this is the end of file that a client with `enable.partition.eof` delivers after an empty fetch.

    While a producer keeps writing there may be no empty fetch, so a reader must not wait for an end of file alone.
    """
    error = message.error()
    return error is not None and error.code() == _PARTITION_EOF


def reaches(message: Delivered, end: float) -> bool:
    """Whether no record lies between this message and `end`, the partition's end offset at that time.

    If transaction markers or compaction took the last offsets, only an end of file shows it.
    """
    if message.error():
        return is_end_of_file(message)
    offset = message.offset()
    return offset is not None and offset + 1 >= end
