"""Everything that an executor does after SIGTERM has one deadline."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from executors.stop_deadline import StopDeadline

HANGS = """
import threading
from executors.stop_deadline import StopDeadline
StopDeadline(0.2).begin()
threading.Event().wait()
"""


def test_a_process_that_hangs_ends_at_its_deadline():
    done = subprocess.run([sys.executable, "-c", HANGS], check=False, timeout=30, cwd=Path(__file__).parents[3])
    assert done.returncode == -signal.SIGALRM


def test_before_sigterm_there_is_time_without_end():
    deadline = StopDeadline(10.0)
    assert (deadline.left(), deadline.elapsed) == (float("inf"), 0.0)


def test_a_second_sigterm_does_not_move_the_deadline():
    deadline = StopDeadline(60.0)
    try:
        deadline.begin()
        before = deadline.left()
        deadline.begin()
        assert 0.0 < deadline.left() <= before <= 60.0
        assert deadline.left(reserved=70.0) == 0.0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
