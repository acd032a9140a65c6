"""A process ends with its exit code and all that it has written, and without the exit handlers of C libraries."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.repository.test_tidy import tracked_files

ROOT = Path(__file__).parents[3]
OURS = ("connectors/", "executors/", "streams/", "tidemill/")
ENDS = re.compile(r"^if __name__ == .__main__.:\n((?:    .+\n)+)", re.MULTILINE)
WITHOUT_KAFKA = {"tidemill/web/vendor.py"}
LEAVES = """
import ctypes, sys, threading, time
from observe.leave import leave
libc = ctypes.CDLL(None)
libc.__cxa_atexit(libc.abort, None, None)
last = threading.Thread(target=lambda: (time.sleep(0.2), print("a thread", end="")))
last.start()
print("written", end=" ")
{end}(3)
"""


@pytest.mark.parametrize(("end", "code"), [("leave", 3), ("sys.exit", -signal.SIGABRT)])
def test_leaving_waits_for_threads_and_runs_no_exit_handler_of_c(end, code):
    done = subprocess.run(
        [sys.executable, "-c", LEAVES.format(end=end)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stdout) == (code, "written a thread")


def test_each_process_that_may_have_a_kafka_client_ends_so():
    ends = {}
    for path in tracked_files():
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(OURS) and path.suffix == ".py" and (found := ENDS.search(path.read_text(encoding="utf-8"))):
            ends[name] = found[1].strip()
    assert len(ends) > 7
    assert {name for name, last in ends.items() if "sys.exit" in last} == WITHOUT_KAFKA
