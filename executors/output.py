"""Bounds the output of a process: keeps its head and tail, with a line between them that counts the bytes left out."""

from __future__ import annotations

from collections import deque

from schemas.event import MAX_OUTPUT_BYTES

_ROOM_FOR_LINE = 160
_PIECE_BYTES = 64 * 1024
"""Pieces of the tail: a process may write a few bytes at a time, and an object for each would cost far more memory."""


class Bounded:
    """Returns the head of a stream and keeps its tail; with the line between them they have at most `limit` bytes."""

    __slots__ = ("_head_limit", "_head_size", "_tail", "_tail_limit", "_tail_size", "total")

    def __init__(self, limit: int) -> None:
        self._head_limit = limit // 2
        self._tail_limit = limit - self._head_limit
        self._head_size = 0
        self._tail: deque[bytearray] = deque()
        self._tail_size = 0
        self.total = 0

    def write(self, data: bytes) -> bytes:
        """Returns the part of `data` that belongs to the head."""
        self.total += len(data)
        room = self._head_limit - self._head_size
        head, rest = data[:room], data[room:]
        self._head_size += len(head)
        if rest:
            self._keep(rest)
        return head

    def rest(self, remark: str = "") -> bytes:
        """What follows the head: a line that counts what is left out, with the remark, and the tail."""
        tail, left_out = b"".join(self._tail), self.left_out
        if not left_out:
            return tail + (f"\n[… {remark} …]\n".encode() if remark else b"")
        said = f"{left_out} of {self.total} bytes left out"
        kept = tail[-self._tail_room :]
        return f"\n[… {'; '.join(filter(None, [said, remark]))} …]\n".encode() + kept

    @property
    def left_out(self) -> int:
        """How many bytes are neither in the head nor in the tail that `rest` returns."""
        if self.total <= self._head_limit + self._tail_limit:
            return 0
        return self.total - self._head_size - self._tail_room

    @property
    def _tail_room(self) -> int:
        """The size of the tail if something is left out."""
        return self._tail_limit - _ROOM_FOR_LINE

    def _keep(self, data: bytes) -> None:
        if self._tail and len(self._tail[-1]) < min(_PIECE_BYTES, self._tail_limit):
            self._tail[-1] += data
        else:
            self._tail.append(bytearray(data))
        self._tail_size += len(data)
        # Keep one piece more than the limit needs, so that no piece is cut.
        while self._tail_size - len(self._tail[0]) >= self._tail_limit:
            self._tail_size -= len(self._tail.popleft())


def is_text(data: bytes) -> bool:
    """Whether `as_text` keeps every byte, if the data is short enough."""
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


def as_text(data: bytes) -> str:
    """At most `MAX_OUTPUT_BYTES` as UTF-8; invalid bytes become replacement characters, which are longer."""
    text = data.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    encoded = text.encode()
    if len(encoded) <= MAX_OUTPUT_BYTES:
        return text
    bounded = Bounded(MAX_OUTPUT_BYTES)
    head = bounded.write(encoded)
    return (head + bounded.rest()).decode("utf-8", "ignore")
