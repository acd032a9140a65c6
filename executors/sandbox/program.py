"""Compiles steps into an ELF program for x86-64: 200 bytes of code that carry out a table of system calls, then exec.

Usage: `<program> <executable> <args…>`. It runs a script without `#!` with a shell, as `execvp` does. A failure it
reports to `REPORT_FD`, and exits with 127. Without an executable it exits with 0 or the error's number.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from itertools import accumulate
from types import MappingProxyType

from executors.orphans import TAG
from executors.sandbox.calls import BECOME_INIT, NUMBERS, X86_64
from executors.sandbox.steps import REPORT, REPORT_FD, Argument, Filter, Step, Tag

# The process supervisor imports this file: import only small parts of the standard library.

MACHINE = X86_64
NOT_EXECUTED = 127

_BASE = 0x400000
_LOAD, _STACK, _READ, _EXECUTE, _WRITE = 1, 0x6474E551, 4, 1, 2
_HEADERS_BYTES = 64 + 2 * 56
_ROW_WORDS, _WORD = 8, 8
_MOST_ARGUMENTS = 6
_WORD_MASK = 2**64 - 1
_END = _WORD_MASK
"""A table ends with a negative number of a call."""

_CODE: tuple[bytes | str | tuple[bytes, str], ...] = (
    (b"\x4c\x8d\x25", "table"),  # lea r12, [table]: the current row
    (b"\x4c\x8b\x35", "first"),  # mov r14, [first]: its index
    "next:",
    b"\x49\x8b\x04\x24",  # mov rax, [r12]: the call
    b"\x48\x3d" + struct.pack("<i", BECOME_INIT),  # cmp rax, BECOME_INIT
    (b"\x0f\x84", "init"),  # je init
    b"\x48\x85\xc0",  # test rax, rax
    (b"\x78", "done:"),  # js done
    b"\x49\x8b\x7c\x24\x08\x49\x8b\x74\x24\x10\x49\x8b\x54\x24\x18",  # mov rdi, [r12 + 8]; … rsi, … rdx
    b"\x4d\x8b\x54\x24\x20\x4d\x8b\x44\x24\x28\x4d\x8b\x4c\x24\x30",  # mov r10, [r12 + 32]; … r8, … r9
    b"\x0f\x05",  # syscall
    b"\x48\x3d\x01\xf0\xff\xff",  # cmp rax, -4095
    (b"\x73", "failed:"),  # jae failed
    b"\x49\x8b\x4c\x24\x38",  # mov rcx, [r12 + 56]: the result that it must have
    b"\x48\x85\xc9",  # test rcx, rcx
    (b"\x74", "good:"),  # jz good
    b"\x48\x39\xc8",  # cmp rax, rcx
    (b"\x75", "failed:"),  # jne failed
    "good:",
    "good",
    b"\x49\x83\xc4\x40",  # add r12, 64
    b"\x49\xff\xc6",  # inc r14
    (b"\xeb", "next:"),  # jmp next
    "done:",
    b"\x48\x8b\x0c\x24",  # mov rcx, [rsp]: argc
    b"\x48\x83\xf9\x01",  # cmp rcx, 1
    (b"\x76", "nothing:"),  # jbe nothing
    (b"\x48\x8b\x15", "env"),  # mov rdx, [env]
    b"\x48\x8d\x74\x24\x10",  # lea rsi, [rsp + 16]: argv of the executable
    b"\x48\x8b\x3e",  # mov rdi, [rsi]
    b"\xb8\x3b\x00\x00\x00\x0f\x05",  # mov eax, SYS_execve; syscall: it returns only if it failed
    b"\x48\x83\xf8\xf8",  # cmp rax, -ENOEXEC
    (b"\x75", "failed:"),  # jne failed
    (b"\x48\x8d\x3d", "shell"),  # lea rdi, [shell]
    b"\x48\x89\x7c\x24\x08",  # mov [rsp + 8], rdi: argv[0] is the shell, argv[1] the script
    b"\x48\x8d\x74\x24\x08",  # lea rsi, [rsp + 8]
    b"\xb8\x3b\x00\x00\x00\x0f\x05",  # mov eax, SYS_execve; syscall
    "failed:",
    "failed",
    b"\x48\xf7\xd8",  # neg rax
    b"\x49\x89\xc7",  # mov r15, rax
    b"\x50\x41\x56",  # push rax; push r14
    (b"\xff\x35", "number"),  # push [number]
    b"\xb8\x01\x00\x00\x00",  # mov eax, SYS_write
    b"\xbf" + struct.pack("<i", REPORT_FD),  # mov edi, REPORT_FD
    b"\x48\x89\xe6",  # mov rsi, rsp
    b"\xba" + struct.pack("<i", REPORT.size),  # mov edx, size
    b"\x0f\x05",  # syscall
    b"\xbf" + struct.pack("<i", NOT_EXECUTED),  # mov edi, 127
    b"\x48\x83\x7c\x24\x18\x01",  # cmp qword [rsp + 24], 1: argc
    (b"\x77", "exit:"),  # ja exit
    b"\x44\x89\xff",  # mov edi, r15d
    (b"\xeb", "exit:"),  # jmp exit
    "nothing:",
    b"\x31\xff",  # xor edi, edi
    "exit:",
    b"\xb8\x3c\x00\x00\x00\x0f\x05",  # mov eax, SYS_exit; syscall
    "init",
    b"\xb8\x39\x00\x00\x00\x0f\x05",  # mov eax, SYS_fork; syscall
    b"\x48\x85\xc0",  # test rax, rax
    (b"\x0f\x84", "good"),  # jz good: the child goes on
    (b"\x0f\x88", "failed"),  # js failed
    b"\x89\xc3",  # mov ebx, eax: the child
    b"\xbf\x03\x00\x00\x00\x83\xce\xff\x31\xd2",  # mov edi, 3; or esi, -1; xor edx, edx
    b"\xb8\xb4\x01\x00\x00\x0f\x05",  # mov eax, SYS_close_range; syscall: no descriptor stays open for others
    b"\x48\x85\xc0",  # test rax, rax
    (b"\x0f\x88", "failed"),  # js failed
    "wait:",
    b"\x48\x83\xcf\xff\x48\x89\xe6\x31\xd2\x45\x31\xd2",  # or rdi, -1; mov rsi, rsp; xor edx, edx; xor r10d, r10d
    b"\xb8\x3d\x00\x00\x00\x0f\x05",  # mov eax, SYS_wait4; syscall
    b"\x39\xd8",  # cmp eax, ebx
    (b"\x75", "wait:"),  # jne wait
    b"\x8b\x0c\x24",  # mov ecx, [rsp]: the status
    b"\x0f\xb6\xfd",  # movzx edi, ch: the exit code
    b"\x83\xe1\x7f",  # and ecx, 0x7f: the signal
    (b"\x74", "ended:"),  # jz ended
    b"\x8d\xb9\x80\x00\x00\x00",  # lea edi, [rcx + 128]
    "ended:",
    b"\xb8\x3c\x00\x00\x00\x0f\x05",  # mov eax, SYS_exit; syscall
)
"""Bytes, labels (`next:`), and jumps to labels or addresses of data (`table`) with what comes before the distance."""
_SHELL = b"/bin/sh\0"
_OWN = struct.Struct("<qqQQQ")
"""What differs between attempts with the same steps: the number, the index of the first step, the address of the
environment, and the two limits of the tag."""
_MOST_KEPT = 1024
"""Programs by their steps. Attempts of one directory have the same, unless their jobs ask for something else."""


def compile_steps(
    steps: Sequence[Step], number: int = 0, first: int = 0, env: Mapping[str, str] = MappingProxyType({})
) -> bytes:
    """An ELF file. `number` stands in its reports and in the tag; `first` is the index of the first step in reports.

    `env` is the environment of the executable.
    """
    code, table = _code(), _compiled(tuple(steps))
    pointers = _BASE + _HEADERS_BYTES + len(code) + _OWN.size + len(table)
    own = _OWN.pack(number, first, pointers, TAG + number, TAG + number)
    content = b"".join((code, own, table, _environment(env, pointers)))
    return _headers(len(content)) + content


@lru_cache(maxsize=_MOST_KEPT)
def _compiled(steps: tuple[Step, ...]) -> bytes:
    """What lies behind `_OWN`: the table of the calls, and what they point to."""
    own = _BASE + _HEADERS_BYTES + len(_code())
    data = _Data(own + _OWN.size + (len(steps) * _ROW_WORDS + 1) * _WORD, tag=own + 3 * _WORD)
    words = [word for step in steps for word in _row(step, data)]
    return b"".join((struct.pack(f"<{len(words) + 1}Q", *words, _END), *data.parts))


def _environment(env: Mapping[str, str], address: int) -> bytes:
    """Pointers to the variables, and the variables."""
    variables = [os.fsencode(f"{name}={value}\0") for name, value in env.items()]
    first = address + (len(variables) + 1) * _WORD
    pointers = [*accumulate(map(len, variables), initial=first)][:-1]
    return b"".join((struct.pack(f"<{len(pointers) + 1}Q", *pointers, 0), *variables))


class _Data:
    """What the arguments of the calls point to; it lies behind the table."""

    def __init__(self, address: int, *, tag: int) -> None:
        self.parts: list[bytes] = []
        self.tag = tag
        self._end = address

    def add(self, data: bytes) -> int:
        """Returns its address, a multiple of 8."""
        address, padded = self._end, data + bytes(-len(data) % _WORD)
        self.parts.append(padded)
        self._end += len(padded)
        return address


def _row(step: Step, data: _Data) -> list[int]:
    args = [_word(each, data) for each in step.args]
    return [NUMBERS[MACHINE][step.call], *args, *(0 for _ in range(_MOST_ARGUMENTS - len(args))), step.result]


def _word(argument: Argument, data: _Data) -> int:
    match argument:
        case int():
            return argument & _WORD_MASK
        case bytes():
            return data.add(argument)
        case Filter(code=code):
            return data.add(struct.pack("<HxxxxxxQ", len(code) // _WORD, data.add(code)))
        case Tag():
            return data.tag


@cache
def _code() -> bytes:
    """The instructions with all distances filled in, padded to a multiple of 8, and `_SHELL`."""
    places, length = {}, 0
    for each in _CODE:
        if isinstance(each, str):
            places[each] = length
        else:
            length += _length(each)
    padding = bytes(-(length + _HEADERS_BYTES) % _WORD)
    end = length + len(padding)
    places |= {"shell": end, "number": end + len(_SHELL), "first": end + len(_SHELL) + _WORD}
    places |= {"env": places["first"] + _WORD, "table": end + len(_SHELL) + _OWN.size}
    out = b""
    for each in _CODE:
        if isinstance(each, bytes):
            out += each
        elif isinstance(each, tuple):
            instruction, place = each
            out += instruction + struct.pack(_distance(place), places[place] - len(out) - _length(each))
    return out + padding + _SHELL


def _length(part: bytes | tuple[bytes, str]) -> int:
    return len(part) if isinstance(part, bytes) else len(part[0]) + struct.calcsize(_distance(part[1]))


def _distance(place: str) -> str:
    """The distance to a label is one byte, the distance to data four."""
    return "<b" if place.endswith(":") else "<i"


def _headers(content_bytes: int) -> bytes:
    """Of an ELF file with one segment, the whole file, and a stack that is not executable."""
    size = _HEADERS_BYTES + content_bytes
    identity = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, _BASE + _HEADERS_BYTES, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", _LOAD, _READ | _EXECUTE, 0, _BASE, _BASE, size, size, 4096)
    stack = struct.pack("<IIQQQQQQ", _STACK, _READ | _WRITE, 0, 0, 0, 0, 0, 16)
    return identity + header + load + stack
