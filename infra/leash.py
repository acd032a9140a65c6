"""Executes a command that dies with the process that started it.

`python -I -S leash.py SIGNAL PARENT UID GID COMMAND...` runs before the project is importable and as any user, so it
uses only the standard library. The kernel sends the death signal when the *thread* that forked ends: start parts only
from the main thread. A change of user clears the death signal, so it is set last.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
KEEP_USER = -1
COMMAND = (sys.executable, "-I", "-S", __file__)
"""The start of the command line; SIGNAL PARENT UID GID and the command follow."""


def main(death_signal: int, parent: int, uid: int, gid: int, command: list[str]) -> None:
    if uid != KEEP_USER:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # the parent died before prctl ran
            sys.exit("the supervisor is gone")
    # Python ignores SIGPIPE, and a shell's background job ignores SIGINT; the command must not inherit either.
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - replacing this process is the point
    except OSError as error:
        sys.exit(f"{command[0]} could not be started: {error}")


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:5]]
    main(numbers[0], numbers[1], numbers[2], numbers[3], sys.argv[5:])
