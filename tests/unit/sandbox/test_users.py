"""Users of attempts: what an executor does that may give them and has none."""

from __future__ import annotations

import subprocess
import sys

ALL_TAKEN = """
from pathlib import Path
from executors.sandbox import users

users._MOST_BLOCKS = 0
users.find_users(Path("/"))
"""


def test_an_executor_of_root_without_a_free_block_does_not_give_attempts_its_own_user():
    as_root = [sys.executable, "-m", "tests.support.hostile.as_user", "root", sys.executable, "-c", ALL_TAKEN]
    ended = subprocess.run(as_root, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.splitlines()[-1].partition(":")[0]) == (
        1,
        "executors.sandbox.users.NoUserError",
    )
