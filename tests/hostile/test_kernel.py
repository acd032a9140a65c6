"""Hostile attempts on the kernel: calls that no job needs, and rights that a program may give itself."""

from __future__ import annotations

import platform

from schemas.confinement import Sandbox
from tests.support.hostile.attempts import ROOT, SHIM, hostile
from tests.support.hostile.inside import (
    any_of,
    call,
    ctypes,
    effective_user,
    errno,
    every,
    fcntl,
    mmap,
    name_of,
    os,
    reaches_the_kernel,
    resource,
    signal,
    subprocess,
    worked_in_child,
)

ANYONE = {
    "add_key": [0, 0, 0, 0, 0],
    "clock_settime": [0, 0],
    "io_uring_setup": [0, 0],
    "kcmp": [0, 0, 0, 0, 0],
    "keyctl": [0, -3, 0],
    "perf_event_open": [0, 0, -1, -1, 0],
    "pidfd_getfd": [-1, 0, 0],
    "process_vm_readv": [0, 0, 0, 0, 0, 0],
    "process_vm_writev": [0, 0, 0, 0, 0, 0],
    "ptrace": [999, 0, 0, 0],
    "request_key": [0, 0, 0, 0],
    "setns": [-1, 0],
    "userfaultfd": [1],
    "mq_open": [0, 0, 0, 0],
    "msgget": [12_345_678, 0],
    "semget": [0, 0, 0],
    "shmget": [0, 0, 0],
}
"""Calls that every user may do, with arguments that do nothing."""
ROOT_ONLY = {
    "acct": ["/does/not/exist"],
    "bpf": [99, 0, 0],
    "delete_module": ["no-such-module", 0],
    "finit_module": [-1, "", 0],
    "fsopen": [0, 0],
    "init_module": [0, 0, ""],
    "kexec_load": [0, 999_999, 0, 0],
    "mount": ["none", "/does/not/exist", "tmpfs", 0, 0],
    "move_mount": [-1, 0, -1, 0, 0],
    "open_by_handle_at": [-1, 0, 0],
    "pivot_root": ["/does/not/exist", "/does/not/exist"],
    "reboot": [0, 0, 0, 0],
    "settimeofday": [0, [100_000, 0]],
    "swapoff": ["/does/not/exist"],
    "swapon": ["/does/not/exist", 0],
    "umount2": ["/does/not/exist", 0],
}
"""Calls that root may do, with arguments that do nothing."""

NOT_EVERYWHERE = {"delete_module", "finit_module", "init_module", "kexec_load"}
"""Calls that some kernels are built without: then nothing shows that they are refused."""


def _none_is_answered(house, outcome):
    calls = outcome.attempt.told["calls"]
    reached = set(outcome.verdict.get("through", []))
    is_open = house.key.sandbox is Sandbox.NONE
    missing = NOT_EVERYWHERE if is_open else set()
    expected = set(calls) - missing if is_open else set()
    assert (reached - missing, outcome.end.exit_code) == (expected, 0), outcome.end.output


@hostile(told={"calls": ANYONE}, check=_none_is_answered, also_in=(SHIM,))
def test_the_kernel_answers_no_call_that_no_job_needs(target):
    return [name for name, values in sorted(target.calls.items()) if reaches_the_kernel(name, values)]


@hostile(told={"calls": ROOT_ONLY}, shown_as=ROOT, check=_none_is_answered)
def test_the_kernel_answers_no_call_that_only_root_may_do(target):
    return [name for name, values in sorted(target.calls.items()) if reaches_the_kernel(name, values)]


@hostile()
def test_a_job_makes_no_namespace(target):
    new_user = 0x10000000
    return any_of(
        lambda: worked_in_child(lambda: call("unshare", new_user)),
        lambda: worked_in_child(lambda: call("clone", new_user | signal.SIGCHLD, 0, 0, 0, 0) or os._exit(0)),
    )


@hostile()
def test_a_job_starts_no_process_past_the_filter_of_clone(target):
    """clone3 takes its flags from memory, where a filter cannot see them."""
    return "the kernel answered" if reaches_the_kernel("clone3", [0, 0]) else None


@hostile()
def test_a_job_gets_no_rights_from_a_setuid_program(target):
    """`su` waits for a password meanwhile."""
    su = next(path for path in ("/usr/bin/su", "/bin/su") if os.path.exists(path))
    with subprocess.Popen([su], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        for _ in every(1, 0.01):
            if name_of(child.pid) == "su":
                break
        found = effective_user(child.pid)
        child.stdin.close()
    return f"user {found}" if found != os.geteuid() else None


@hostile()
def test_a_job_puts_nothing_into_a_terminals_input(target):
    tiocsti, tioclinux = 0x5412, 0x541C
    reader, _ = os.pipe()

    def push(number):
        try:
            fcntl.ioctl(reader, number, b"x")
        except OSError as error:
            if error.errno != errno.ENOTTY:
                raise
        return "the driver answered"

    return any_of(lambda: push(tiocsti), lambda: push(tioclinux))


@hostile()
def test_a_job_leaves_no_core_dump(target):
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if not (child := os.fork()):
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        os.abort()
    _, status = os.waitpid(child, 0)
    return "dumped" if os.WCOREDUMP(status) else None


@hostile()
def test_a_job_does_not_take_off_its_tag(target):
    """The hard limit of RLIMIT_RTTIME says to which attempt a process belongs."""
    _, hard = resource.getrlimit(resource.RLIMIT_RTTIME)
    lower = (hard if hard > 0 else 1 << 40) - 1
    value = (ctypes.c_ulonglong * 2)(lower, lower)
    return any_of(
        lambda: call("prlimit64", 0, resource.RLIMIT_RTTIME, value, 0) or "took it off",
        lambda: call("prlimit64", os.getpid(), resource.RLIMIT_RTTIME, value, 0) or "took it off",
    )


if platform.machine() == "x86_64":

    @hostile()
    def test_a_job_does_not_call_the_kernel_in_another_architecture(target):
        """The numbers of 32-bit calls are others, so a filter for 64 bits would let them pass."""
        getpid = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(getpid)
        if not (child := os.fork()):
            function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
            os._exit(0 if function() == os.getpid() else 1)
        _, status = os.waitpid(child, 0)
        return "the kernel answered" if status == 0 else None


def _only_the_job_itself_obeyed(house, outcome):
    assert outcome.end.exit_code == 0, outcome.end.output
    assert outcome.end.output.count("cannot be preloaded") == 1


@hostile(
    shown_as=None,
    why="nothing that is linked dynamically starts a job there",
    order={"env": {"LD_PRELOAD": "../checkpoint/evil.so"}},
    check=_only_the_job_itself_obeyed,
    also_in=(SHIM,),
)
def test_what_starts_a_job_does_not_obey_the_variables_of_the_job(target):
    """A library from an earlier attempt's checkpoint would run before anything is confined. The linker complains."""
