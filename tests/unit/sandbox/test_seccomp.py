"""The seccomp filter, run as the kernel would run it: which calls it allows, and which it refuses."""

from __future__ import annotations

import struct

import pytest

from executors.sandbox.calls import NUMBERS
from executors.sandbox.seccomp import DENIED, Sockets, deny_list

ALLOWED, REFUSED, UNKNOWN, KILLED = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
LOAD, EQUAL, ABOVE_OR_EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
HOLDS = {EQUAL: int.__eq__, ABOVE_OR_EQUAL: int.__ge__, ANY_BIT: lambda word, value: bool(word & value)}
MOST_LINES = 255
"""A jump of BPF goes no farther."""


def answer(code, machine, number, *args, arch=None):
    """What the program returns for a call."""
    data = struct.pack("<IIQ6Q", number, MACHINES[machine] if arch is None else arch, 0, *args, *[0] * (6 - len(args)))
    lines = list(struct.iter_unpack("<HBBI", code))
    place, word = 0, 0
    while True:
        kind, yes, no, value = lines[place]
        place += 1
        if kind == RETURN:
            return value
        if kind == LOAD:
            word = struct.unpack_from("<I", data, value)[0]
        else:
            place += yes if HOLDS[kind](word, value) else no


@pytest.fixture(params=MACHINES)
def ask(request):
    """Asks the filter of a machine about a call by its name."""
    machine = request.param
    calls = NUMBERS[machine]

    def put(name, *args, sockets=Sockets.ANY, own_user=False):
        return answer(deny_list(machine, sockets, own_user=own_user), machine, calls[name], *args)

    put.machine, put.calls = machine, calls
    return put


def test_each_denied_call_fails_and_the_calls_beside_it_do_not(ask):
    code = deny_list(ask.machine, Sockets.ANY, own_user=True)
    special = {ask.calls[name] for name in ("clone", "unshare", "ioctl", "fcntl", "setrlimit", "prlimit64", "clone3")}
    denied = {ask.calls[name] for name in DENIED if name in ask.calls}
    for number in set(range(500)) - special:
        assert answer(code, ask.machine, number) == (REFUSED if number in denied else ALLOWED), number


def test_a_thread_can_be_made_and_a_namespace_cannot(ask):
    threads, new_user = 0x3D0F00, 0x10000000
    assert ask("clone", threads) == ask("unshare", 0x200) == ALLOWED
    assert ask("clone", new_user | 17) == ask("unshare", new_user) == ask("unshare", 0x80) == REFUSED
    assert ask("clone3") == UNKNOWN


def test_input_of_a_terminal_cannot_be_forged_and_no_lease_taken(ask):
    assert ask("ioctl", 0, 0x5401) == ask("fcntl", 0, 3) == ALLOWED
    assert ask("ioctl", 0, 0x5412) == ask("ioctl", 0, 0x541C) == ask("fcntl", 0, 1024) == REFUSED
    assert ask("ioctl", 0, 0x5412 | 1 << 32) == REFUSED  # the kernel ignores the high half


def test_the_tag_can_be_read_and_not_changed(ask):
    rttime, files, somewhere = 15, 7, 1 << 40
    assert ask("prlimit64", 0, rttime, 0) == ask("prlimit64", 0, files, somewhere) == ALLOWED
    assert ask("prlimit64", 0, rttime, somewhere) == ask("prlimit64", 0, rttime, 8) == REFUSED
    assert ask("setrlimit", rttime) == REFUSED


def test_only_an_attempt_with_a_user_of_its_own_changes_limits_of_other_processes(ask):
    assert ask("prlimit64", 17, 7, 0) == REFUSED
    assert ask("prlimit64", 17, 7, 0, own_user=True) == ALLOWED


def test_without_a_network_there_is_no_socket(ask):
    internet = 2
    assert ask("socket", internet) == ALLOWED
    assert ask("socket", internet, sockets=Sockets.NONE) == REFUSED


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_other_architectures_end_the_process(machine):
    code = deny_list(machine, Sockets.ANY)
    assert answer(code, machine, 1, arch=0x40000003) == KILLED
    assert len(code) // 8 <= MOST_LINES


def test_the_calls_of_x32_end_the_process():
    assert answer(deny_list("x86_64", Sockets.ANY), "x86_64", 0x40000001) == KILLED
