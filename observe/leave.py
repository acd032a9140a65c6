"""Ends a process although threads of a Kafka client still run in it."""

from __future__ import annotations

import atexit
import os
import sys
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process as `sys.exit` does, but without the exit handlers of C libraries. Call it in the main thread.

    OpenSSL's handler frees what the threads of a Kafka client use: the process may end with SIGSEGV (docs/facts.md).
    """
    atexit.register(_end, code)  # after the threads that Python waits for
    sys.exit(code)


def _end(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
