"""Exit codes as in a shell: numbers, descriptions, and a job's list of codes that are not retried."""

from __future__ import annotations

import pytest

from schemas.exit_codes import exit_code_in_words, shell_exit_code
from schemas.words import RunState
from tests.support.simulated.log import Log, ended, started


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (3, "exit code 3"),
        (128, "exit code 128"),
        (137, "exit code 137 (SIGKILL)"),
        (139, "exit code 139 (SIGSEGV)"),
        (255, "exit code 255"),
        (-9, "exit code 137 (SIGKILL)"),
    ],
)
def test_words_name_the_signal(code, words):
    assert exit_code_in_words(code) == words


def test_exit_codes_of_older_executors_become_those_of_a_shell():
    assert [shell_exit_code(code) for code in (None, 0, 137, -9)] == [None, 0, 137, 137]


@pytest.mark.parametrize("said", [137, -9], ids=["executor of this version", "executor of an earlier version"])
def test_a_signal_can_be_named_as_not_retryable(said):
    log = Log()
    owner = log.dispatched(max_attempts=3, non_retryable_exit_codes=(137,))
    dispatch = log.dispatches()[-1]
    owner.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now, said)))
    log.turn(owner, 1)
    status = log.statuses()[dispatch.run_id]
    assert (status.state, status.attempts[0].exit_code) == (RunState.FAILED, 137)
    assert status.reason == "exit code 137 (SIGKILL), which is not retried"
