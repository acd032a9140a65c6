"""Executes a command that dies with the process that started it.

`python -I -S leash.py SIGNAL PARENT UID GID COMMAND...` runs before the project is importable and as any user, so it
stands on the standard library alone. The death signal follows the *thread* that forked: start parts from the main
thread only. A change of user clears it, so it is set last.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
KEEP_USER = -1
COMMAND = (sys.executable, "-I", "-S", __file__)
"""What starts this file; SIGNAL PARENT UID GID and the command follow."""


def main(death_signal: int, parent: int, uid: int, gid: int, command: list[str]) -> None:
    if uid != KEEP_USER:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # it died before it could be watched
            sys.exit("the supervisor is gone")
    # Python ignores SIGPIPE, and a shell's background job ignores SIGINT: neither is meant for the command.
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - replacing this process is the point
    except OSError as error:
        sys.exit(f"{command[0]} could not be started: {error}")


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:5]]
    main(numbers[0], numbers[1], numbers[2], numbers[3], sys.argv[5:])
