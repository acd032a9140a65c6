"""Hostile attempts on the network: without one, a job reaches nobody, in no way."""

from __future__ import annotations

from schemas.confinement import Confinement, Network, Sandbox
from tests.support.hostile.attempts import hostile
from tests.support.hostile.inside import socket


def _nobody_was_reached(house, outcome):
    came = [each for each in house.baits.came if outcome.order.args[0] in each]
    reached = outcome.verdict.get("through", [])
    if house.key.sandbox is Sandbox.NONE:
        assert set(reached) >= {"kafka", "s3", "tcp", "udp", "unix", "abstract"}
        assert len(came) == 4
    else:
        # In a network of its own it may send a datagram, and nobody gets it.
        assert (came, set(reached) - {"udp"}, outcome.end.exit_code) == ([], set(), 0), outcome.end.output


@hostile(confinement=Confinement(network=Network.NONE), check=_nobody_was_reached)
def test_a_job_without_a_network_reaches_no_server(target):
    """Kafka, S3, a database, the cloud's metadata; by TCP, UDP, and sockets in files and without."""

    def say(family, kind, address):
        with socket.socket(family, kind) as made:
            made.settimeout(1)
            made.connect(address)
            made.send(f"{target.mark} was here".encode())

    tcp, udp, unix = (socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM), (socket.AF_UNIX, 1)
    tries = {
        "kafka": (*tcp, ("127.0.0.1", int(target.kafka))),
        "s3": (*tcp, ("127.0.0.1", int(target.s3))),
        "tcp": (*tcp, tuple(target.baits["tcp"])),
        "udp": (*udp, tuple(target.baits["udp"])),
        "unix": (*unix, target.baits["unix"]),
        "abstract": (*unix, "\0" + target.baits["abstract"]),
        "metadata": (*tcp, ("169.254.169.254", 80)),
    }
    got = []
    for name, values in tries.items():
        try:
            say(*values)
        except OSError:
            continue
        got.append(name)
    return got


@hostile(confinement=Confinement(network=Network.NONE))
def test_a_job_without_a_network_makes_no_socket_of_any_kind_that_leaves_it(target):
    """A netlink socket lists interfaces, a packet socket reads what passes; a pair of sockets is its own affair."""
    socket.socketpair()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.connect(("169.254.169.254", 80))
        return f"has a way there, from {made.getsockname()}"


@hostile(confinement=Confinement(network=Network.ANY))
def test_a_job_with_a_network_reaches_no_abstract_socket(target):
    with socket.socket(socket.AF_UNIX) as made:
        made.connect("\0" + target.baits["abstract"])
        return "connected"


@hostile(confinement=Confinement(network=Network.ANY))
def test_a_job_with_a_network_reaches_no_socket_in_a_file_of_its_executors_user(target):
    """Behind one may be a user's systemd, tmux or docker, which start anything outside of every sandbox."""
    with socket.socket(socket.AF_UNIX) as made:
        made.connect(target.baits["unix"])
        return "connected"
