"""The exec shim for hosts without setpriv: it makes a process die with the supervisor that spawned it.

Usage: `python -I -S shim.py <pid of the supervisor> -- <executable> <args…>`.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_CANNOT_EXECUTE = 127


def main() -> None:
    supervisor, _, *command = sys.argv[1:]
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        sys.exit("shim: prctl(PR_SET_PDEATHSIG) failed")
    # If the parent died before the call above, no signal follows.
    if os.getppid() != int(supervisor):
        sys.exit("shim: the supervisor is gone")
    try:
        # Python ignores these two signals, and exec keeps that.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        os.execv(command[0], command)  # noqa: S606 - what a shim is for
    except OSError as error:
        sys.stderr.write(f"shim: failed to execute {command[0]}: {error.strerror}\n")
        sys.exit(_CANNOT_EXECUTE)


if __name__ == "__main__":
    main()
