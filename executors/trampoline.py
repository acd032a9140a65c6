"""The exec shim on x86-64 as a program of 300 bytes: starting `setpriv` was half of a run's cost for its host.

It asks the kernel to kill it when the supervisor dies (PDEATHSIG), exits if the supervisor is dead already, and
executes the process. If that fails, it executes the other shim, which reports the error or runs a script with a shell.
Usage: `<trampoline> <command of the other shim…> <executable> <args…>`.
"""

from __future__ import annotations

import os
import struct

# The process supervisor imports this file: import only small parts of the standard library.

TRAMPOLINE = "{trampoline}"
"""A placeholder for the program in a command: each supervisor makes its own program."""
_MACHINE = "x86_64"
_BASE = 0x400000
_LOAD, _STACK, _READ, _EXECUTE, _WRITE = 1, 0x6474E551, 4, 1, 2
_NOT_EXECUTED = 127
_HEADERS_BYTES = 64 + 2 * 56


def own_shim(supervisor: int, command: list[str]) -> list[str]:
    """The command to put before a process's own, with its placeholders replaced for the supervisor with this pid."""
    command = [each.replace("{supervisor}", str(supervisor)) for each in command]
    return _behind_trampoline(supervisor, command[1:]) if command[0] == TRAMPOLINE else command


def _behind_trampoline(supervisor: int, other: list[str]) -> list[str]:
    """The program before the other shim; only the other shim if this host cannot run the program."""
    if os.uname().machine != _MACHINE:
        return other
    try:
        fd = os.memfd_create("trampoline", os.MFD_CLOEXEC)
        os.write(fd, _program(_code(supervisor, len(other))))
        command = [f"/proc/self/fd/{fd}", *other]
        nothing = [command[0], *("" for _ in other), ""]
        _, status = os.waitpid(os.posix_spawn(command[0], nothing, {}), 0)
    except OSError:
        return other
    return command if os.waitstatus_to_exitcode(status) == _NOT_EXECUTED else other


def _code(supervisor: int, arguments: int) -> bytes:
    """`arguments` is the length of the other shim's command."""
    lines = (
        b"\xb8\x9d\x00\x00\x00",  # mov eax, SYS_prctl
        b"\xbf\x01\x00\x00\x00",  # mov edi, PR_SET_PDEATHSIG
        b"\xbe\x09\x00\x00\x00",  # mov esi, SIGKILL
        b"\x31\xd2\x45\x31\xd2\x45\x31\xc0",  # xor edx, edx; xor r10d, r10d; xor r8d, r8d
        b"\x0f\x05",  # syscall
        b"\xb8\x6e\x00\x00\x00",  # mov eax, SYS_getppid
        b"\x0f\x05",  # syscall
        b"\x3d" + struct.pack("<i", supervisor),  # cmp eax, supervisor
        b"\x75\x30",  # jne exit
        b"\x48\x8b\x0c\x24",  # mov rcx, [rsp]: argc
        b"\x48\x8d\x54\xcc\x10",  # lea rdx, [rsp + rcx*8 + 16]: envp
        b"\x48\x89\xd3",  # mov rbx, rdx
        b"\x48\x8d\xb4\x24" + struct.pack("<i", 16 + 8 * arguments),  # lea rsi, [rsp + …]: argv behind the other shim
        b"\x48\x8b\x3e",  # mov rdi, [rsi]
        b"\xb8\x3b\x00\x00\x00",  # mov eax, SYS_execve
        b"\x0f\x05",  # syscall: returns only if it failed
        b"\x48\x8d\x74\x24\x10",  # lea rsi, [rsp + 16]: the other shim
        b"\x48\x8b\x3e",  # mov rdi, [rsi]
        b"\x48\x89\xda",  # mov rdx, rbx
        b"\xb8\x3b\x00\x00\x00",  # mov eax, SYS_execve
        b"\x0f\x05",  # syscall
        b"\xb8\x3c\x00\x00\x00",  # exit: mov eax, SYS_exit
        b"\xbf" + struct.pack("<i", _NOT_EXECUTED),  # mov edi, 127
        b"\x0f\x05",  # syscall
    )
    return b"".join(lines)


def _program(code: bytes) -> bytes:
    """An ELF file: a header, one segment with the whole file, and a stack that is not executable."""
    size = _HEADERS_BYTES + len(code)
    identity = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, _BASE + _HEADERS_BYTES, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", _LOAD, _READ | _EXECUTE, 0, _BASE, _BASE, size, size, 4096)
    stack = struct.pack("<IIQQQQQQ", _STACK, _READ | _WRITE, 0, 0, 0, 0, 0, 16)
    return identity + header + load + stack + code
