"""Names of processes: unique on a machine while they live, and free as soon as they end in any way."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from itertools import count

import pytest

from schemas.own_name import NameTakenError, OwnName, stamped, take_name, unstamped

HOST = socket.gethostname()
HOLDER = """
import sys
from schemas.own_name import take_name
print(take_name(*sys.argv[1:]).name, flush=True)
sys.stdin.read()
"""
_numbers = count()


@pytest.fixture
def place(request):
    """A place that no other test uses, in no other run on this machine: names are unique on a machine."""
    return f"{request.node.nodeid} {os.getpid()} {next(_numbers)}"


@pytest.fixture
def holder(place):
    """A function that starts a process that takes a name; it returns the name."""
    processes = []

    def start(*wanted):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, "worker", place, *wanted],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_processes_of_a_machine_have_unique_names_and_a_killed_process_frees_its_own(place, holder):
    first, name = holder()
    assert name == HOST
    assert holder()[1] == f"{HOST}-2"
    first.kill()
    first.wait()
    assert take_name("worker", place).name == HOST
    assert take_name("worker", place).name == f"{HOST}-3"


def test_a_chosen_name_in_use_is_refused_with_a_remedy(place, holder):
    process, name = holder("stream-7")
    assert name == "stream-7"
    with pytest.raises(NameTakenError, match="another process of this machine is the worker 'stream-7'"):
        take_name("worker", place, "stream-7")
    assert take_name("executor", place, "stream-7").name == "stream-7"
    process.kill()
    process.wait()
    assert take_name("worker", place, "stream-7").is_chosen


def test_a_clients_id_says_the_name_and_the_machine():
    own = OwnName(name="a@b", stamp="12ab", is_chosen=True)
    assert unstamped(stamped(own)) == ("a@b", "12ab")
    assert unstamped("stream-0") == ("stream-0", "")
