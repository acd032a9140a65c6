"""Whether a reader of a topic has come to an end that it asked for before it began to read."""

from __future__ import annotations

from typing import Any, Protocol

_PARTITION_EOF = -191
"""RD_KAFKA_RESP_ERR__PARTITION_EOF of librdkafka."""


class Delivered(Protocol):
    """What a client's message says of itself."""

    def error(self) -> Any: ...

    def offset(self) -> int | None: ...


def is_end_of_file(message: Delivered) -> bool:
    """What a client with `enable.partition.eof` delivers after a fetch that found nothing: while somebody writes faster
    than its fetches wait, there is none, so that alone ends no read.
    """
    error = message.error()
    return error is not None and error.code() == _PARTITION_EOF


def reaches(message: Delivered, end: float) -> bool:
    """Whether nothing lies between this message and `end`, the offset behind the partition's last record at that time.
    Where markers or compaction took the last offsets, only an end of file says so.
    """
    if message.error():
        return is_end_of_file(message)
    offset = message.offset()
    return offset is not None and offset + 1 >= end
