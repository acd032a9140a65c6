"""The port of a process shows metrics that start at 0, and answers whether the process is live and ready."""

from __future__ import annotations

import socket
import struct
import threading
import urllib.error
import urllib.request
from datetime import timedelta

import pytest

from infra.ports import is_free
from observe import probe
from observe.health import STARTING, Health
from observe.metric import counter, histogram
from observe.registry import Registry
from observe.server import PortTakenError, observed
from observe.settings import parse_address
from tests.support.waiting import eventually

ENDS = counter("tidemill_ends_total", "Ends.", "Nothing.", "cause", "class", values={"cause": ("exited", "limit")})
TIMES = histogram("tidemill_times_seconds", "Times.", "Nothing.")


def free_address():
    return f"127.0.0.1:{next(port for port in range(20_000, 32_000) if is_free(port))}"


def get(address, path):
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_every_series_that_is_known_exists_at_0_from_the_start():
    registry, address = Registry(), free_address()
    registry.counter(ENDS, **{"class": ["10s", "1m"]})
    registry.histogram(TIMES)
    with observed(address, registry, Health()):
        _, text = get(address, "/metrics")
    for cause in ("exited", "limit"):
        for name in ("10s", "1m"):
            assert f'tidemill_ends_total{{cause="{cause}",class="{name}"}} 0.0' in text
    assert 'tidemill_times_seconds_bucket{le="5.0"} 0.0' in text


def test_a_process_is_ready_from_its_word_until_it_leaves():
    health, address = Health(), free_address()
    with observed(address, Registry(), health):
        assert get(address, "/readyz") == (503, f"{STARTING}\n")
        health.ready()
        assert get(address, "/readyz") == (200, "ok\n")
        health.leave()
        health.ready()
        assert get(address, "/readyz") == (503, "it is stopping\n")
        assert get(address, "/livez") == (200, "ok\n")


def test_a_process_is_live_while_each_of_its_loops_turns():
    now = 0.0
    health = Health(lambda: now)
    fast, slow = health.loop("heartbeats", timedelta(seconds=10)), health.loop("logs", timedelta(seconds=60))
    now = 11.0
    slow.turn()
    assert health.why_not_live == "the loop 'heartbeats' has not turned for 11 s; 10 s are allowed"
    fast.turn()
    assert health.why_not_live is None
    now = 30.0
    health.end(fast)
    assert health.why_not_live is None


def test_a_process_that_is_not_live_is_not_ready():
    now = 0.0
    health = Health(lambda: now)
    loop = health.loop("heartbeats", timedelta(seconds=10))
    health.ready()
    now = 11.0
    assert health.why_not_ready == health.why_not_live
    loop.turn()
    assert health.why_not_ready is None


def test_a_port_that_is_taken_is_refused_with_its_setting():
    address = free_address()
    refused = pytest.raises(PortTakenError, match="TIDEMILL_OBSERVE_LISTEN")
    with observed(address, Registry(), Health()), refused, observed(address, Registry(), Health()):
        pass


@pytest.mark.parametrize("text", ["9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "host:65536", ":9464"])
def test_an_address_without_host_or_port_is_refused(text):
    with pytest.raises(ValueError, match="it must be HOST:PORT"):
        parse_address(text)


def test_an_address_may_be_of_ipv6():
    assert parse_address("[::1]:9464") == ("::1", 9464)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_port_opens_without_a_name_server(host, monkeypatch):
    monkeypatch.setattr(socket, "getfqdn", lambda _: pytest.fail("it asks for the name of the machine"))
    address = f"{host}:{free_address().rpartition(':')[2]}"
    with observed(address, Registry(), Health()):
        assert get(address, "/livez") == (200, "ok\n")


def test_a_client_that_breaks_off_leaves_nothing_in_the_log(capfd):
    address, before = free_address(), threading.active_count()
    with observed(address, Registry(), Health()):
        with socket.create_connection(parse_address(address)) as client:
            client.sendall(b"GET /livez")
            eventually(lambda: threading.active_count() > before + 1, what="a thread for the client")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # the close is a reset
        eventually(lambda: threading.active_count() == before + 1, what="the end of the client's thread")
        assert get(address, "/livez")[0] == 200
    assert capfd.readouterr() == ("", "")


def test_a_probe_exits_with_0_only_if_the_process_is_ready_and_prints_why_it_is_not(capsys):
    health, address = Health(), free_address()
    with observed(address, Registry(), health):
        assert probe.main(f"http://{address}/readyz") == 1
        assert capsys.readouterr().out == f"{STARTING}\n"
        health.ready()
        assert probe.main(f"http://{address}/readyz") == 0
    assert probe.main(f"http://{address}/readyz") == 1
    assert "does not answer" in capsys.readouterr().out
