"""Carries out steps and executes a command, on hosts that cannot run the program of `program.py`.

Usage: `python -I -S shim.py <descriptor of the steps as JSON> <executable> <args…>`.
"""

import ctypes
import errno
import json
import os
import signal
import struct
import sys

# It starts for every process, without the packages of this project: import only small parts of the standard library.

_REPORT_FD = 99
_NOT_EXECUTED = 127
_SHELL = "/bin/sh"
_BECOME_INIT = 0x7FFF_FFFF
_DEATH = 128
_FIRST_FD = 3


def main() -> None:
    fd, *command = int(sys.argv[1]), *sys.argv[2:]
    order = json.loads(os.pread(fd, os.fstat(fd).st_size, 0))
    os.close(fd)
    libc = ctypes.CDLL(None, use_errno=True)
    # Python ignores these two signals, and exec keeps that.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    kept: list[object] = []
    for index, (call, args, result) in enumerate(order["steps"], order["first"]):
        words = [_word(each, kept) for each in args]
        ctypes.set_errno(0)
        found = _become_init() if call == _BECOME_INIT else libc.syscall(ctypes.c_long(call), *words)
        if found == -1 or (result and found != result):
            _fail(order["number"], index, ctypes.get_errno(), has_command=bool(command))
    if command:
        _fail(order["number"], order["first"] + len(order["steps"]), _execute(command, order["env"]), has_command=True)


def _become_init() -> int:
    """Only the child returns."""
    child = os.fork()
    if child:
        os.closerange(_FIRST_FD, os.sysconf("SC_OPEN_MAX"))
        ended, status = 0, 0
        while ended != child:
            ended, status = os.wait()
        code = os.waitstatus_to_exitcode(status)
        os._exit(code if code >= 0 else _DEATH - code)
    return child


def _word(argument: int | list[str], kept: list[object]) -> object:
    """A number, or a pointer to bytes; `["filter", …]` points to a `struct sock_fprog`."""
    if isinstance(argument, int):
        return ctypes.c_long(argument)
    kind, text = argument
    data = ctypes.create_string_buffer(bytes.fromhex(text), len(text) // 2)
    kept.append(data)
    if kind == "filter":
        address = ctypes.addressof(data)
        data = ctypes.create_string_buffer(struct.pack("@HP", len(text) // 16, address))
        kept.append(data)
    return data


def _execute(command: list[str], env: dict[str, str]) -> int:
    try:
        os.execve(command[0], command, env)  # noqa: S606 - what a shim is for
    except OSError as error:
        failed = error
    if failed.errno == errno.ENOEXEC:  # a script without #!
        try:
            os.execve(_SHELL, [_SHELL, *command], env)  # noqa: S606
        except OSError as error:
            failed = error
    return failed.errno or errno.EINVAL


def _fail(number: int, index: int, error: int, *, has_command: bool) -> None:
    try:
        os.write(_REPORT_FD, struct.pack("<qqq", number, index, error))
    finally:
        os._exit(_NOT_EXECUTED if has_command else error)


if __name__ == "__main__":
    main()
