"""Exit codes as a shell reports them: 128 + N if signal N ended the process, with or without a shell."""

from __future__ import annotations

from signal import Signals

SIGNAL_BASE = 128
_NAMES = {SIGNAL_BASE + each: each.name for each in Signals if each < Signals.SIGRTMIN}


def shell_exit_code(code: int | None) -> int | None:
    """The exit code as a shell reports it. Executors of an earlier version report -N for signal N."""
    return SIGNAL_BASE - code if code is not None and code < 0 else code


def is_signal_exit(code: int | None) -> bool:
    """Whether the exit code names a signal; codes such as 255 come from programs."""
    return shell_exit_code(code) in _NAMES


def exit_code_in_words(code: int | None) -> str:
    """`exit code 3`, `exit code 137 (SIGKILL)`."""
    code = shell_exit_code(code)
    return f"exit code {code} ({_NAMES[code]})" if code in _NAMES else f"exit code {code}"
