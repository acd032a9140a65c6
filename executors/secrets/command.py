"""A command that knows secrets: names go in as JSON, values come out, so that sops, vault or op can be asked."""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Hashable, Sequence
from contextlib import suppress
from typing import IO

import msgspec

from executors.s3 import UnreachableError
from executors.secrets.provider import Answers, SecretError, checked

TIME_LIMIT_SECONDS = 20.0
MAX_ANSWER_BYTES = 4 * 1024 * 1024
_READ_BYTES = 64 * 1024
_TRY_AGAIN = os.EX_TEMPFAIL
"""The exit code (75) with which a command says that a retry may help."""


class _Question(msgspec.Struct, frozen=True):
    version: int
    names: Sequence[str]


class _Answer(msgspec.Struct, frozen=True):
    values: dict[str, str]
    """Without the names that the command does not know."""


class Command:
    """Nothing that the command writes except values is shown anywhere: any text of it may contain a value."""

    def __init__(self, line: str, *, limit_seconds: float = TIME_LIMIT_SECONDS) -> None:
        """`line` is split as a shell does; no shell runs it. Raises `ValueError` for an open quotation mark."""
        self._argv = shlex.split(line)
        self._limit_seconds = limit_seconds

    def stamp(self, _: str) -> Hashable:
        return None

    def read(self, names: Sequence[str]) -> Answers:
        try:
            values = msgspec.json.decode(self._ask(names), type=_Answer).values
        except msgspec.DecodeError:  # its text may contain a part of a value
            raise SecretError('the secrets command did not answer {"values": {NAME: VALUE, …}} as JSON') from None
        return {name: _value(name, values) for name in names}

    def _ask(self, names: Sequence[str]) -> bytes:
        """Its standard output. Its standard input is a file, which it need not read."""
        with tempfile.TemporaryFile() as question:
            question.write(msgspec.json.encode(_Question(version=1, names=names)))
            question.seek(0)
            try:
                process = subprocess.Popen(
                    self._argv,
                    stdin=question,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=_environment(),
                    start_new_session=True,
                )
            except OSError as error:
                raise SecretError(f"the secrets command cannot be started: {error.strerror}") from None
        assert process.stdout is not None
        until = time.monotonic() + self._limit_seconds
        try:
            with process.stdout:
                answer = _read(process.stdout, until)
            code = process.wait(max(until - time.monotonic(), 0.0))
        except (TimeoutError, subprocess.TimeoutExpired):
            raise UnreachableError(f"the secrets command took longer than {self._limit_seconds:g} s") from None
        finally:
            _end(process)
        if code == _TRY_AGAIN:
            raise UnreachableError(f"the secrets command ended with exit code {code}: try again")
        if code:
            raise SecretError(f"the secrets command ended with exit code {code}; call it by hand to see why")
        return answer


def _read(pipe: IO[bytes], until: float) -> bytes:
    """All that the command writes. Raises `TimeoutError` or `SecretError`."""
    answer = bytearray()
    while True:
        if not select.select([pipe], [], [], max(until - time.monotonic(), 0.0))[0]:
            raise TimeoutError
        data = os.read(pipe.fileno(), _READ_BYTES)
        if not data:
            return bytes(answer)
        answer += data
        if len(answer) > MAX_ANSWER_BYTES:
            raise SecretError(f"the secrets command answered with more than {MAX_ANSWER_BYTES} bytes")


def _end(process: subprocess.Popen[bytes]) -> None:
    """What a command that has ended by itself leaves running, such as an agent, is its own affair."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _environment() -> dict[str, str]:
    """That of the executor, with what vault or sops need, without Tidemill's own settings and keys."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TIDEMILL_")}


def _value(name: str, values: dict[str, str]) -> str | SecretError:
    if name not in values:
        return SecretError(f"secret {name!r} is not known to the secrets command")
    try:
        return checked(name, values[name].encode())
    except UnicodeEncodeError:
        return SecretError(f"secret {name!r} is not UTF-8")
