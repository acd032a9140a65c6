"""A variable that cannot be used ends every process of ours with one sentence that names it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

EXIT_SECONDS = 60
PROCESSES = ("streams", "executors", "connectors.sink", "connectors.supervisor")


@pytest.mark.parametrize("module", PROCESSES)
def test_a_process_says_which_variable_it_cannot_use_and_ends(module):
    done = subprocess.run(
        [sys.executable, "-m", module],
        env={**os.environ, "TIDEMILL_PARTITIONS": "eight"},
        capture_output=True,
        text=True,
        timeout=EXIT_SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert "TIDEMILL_PARTITIONS is 'eight': it must be a valid integer" in done.stderr
    assert "Traceback" not in done.stderr
