"""Exit codes, as a shell has them: death by signal N is 128 + N, whether or not a shell stood between."""

from __future__ import annotations

from signal import Signals

DEATH = 128
_NAMES = {DEATH + each: each.name for each in Signals if each < Signals.SIGRTMIN}


def as_a_shell_has_it(code: int | None) -> int | None:
    """Executors of an earlier version say minus N for death by signal N."""
    return DEATH - code if code is not None and code < 0 else code


def is_of_signal(code: int | None) -> bool:
    """Whether a signal ended it, as far as a code says; 255 and the like are codes of programs."""
    return as_a_shell_has_it(code) in _NAMES


def exit_code_in_words(code: int | None) -> str:
    """`exit code 3`, `exit code 137 (SIGKILL)`."""
    code = as_a_shell_has_it(code)
    return f"exit code {code} ({_NAMES[code]})" if code in _NAMES else f"exit code {code}"
