"""The proxy of the chaos tests forwards, cuts, silences, delays and refuses exactly the links that a rule names."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager

import pytest

from infra import status as states
from infra.ports import Ports
from infra.process import identify
from infra.status import Status
from tests.chaos import owners
from tests.chaos.network import isolation
from tests.chaos.proxy import Order, Proxy, Rule, serve

PATIENCE = 10
SILENT_SECONDS = 0.3
"""So long nothing may arrive."""
DELAY = 0.25


@pytest.fixture
def ports(tmp_path):
    found = Ports(tmp_path, tmp_path, ["proxy", "server"])
    found.close()
    return found.by_name


@asynccontextmanager
async def proxied(ports, owners_of=lambda *_: {}):
    """A server that echoes, and the proxy before it under the name `store`."""

    async def echo(reader, writer):
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", ports["server"])
    proxy = Proxy(lambda _: ports["server"], owners_of)
    listening = await serve(proxy, {"store": ports["proxy"]})
    try:
        yield proxy
    finally:
        for each in (server, *listening):
            each.close()


async def connect(ports):
    return await asyncio.open_connection("127.0.0.1", ports["proxy"])


async def asked(link, text=b"hello"):
    reader, writer = link
    writer.write(text)
    return await asyncio.wait_for(reader.read(1000), PATIENCE)


async def is_gone(link):
    try:
        return await asked(link) == b""
    except ConnectionError:
        return True


def run(story):
    asyncio.run(asyncio.wait_for(story, 3 * PATIENCE))


def test_without_rules_every_byte_passes_and_an_end_passes_too(ports):
    async def story():
        async with proxied(ports):
            reader, writer = await connect(ports)
            writer.write(b"x" * 500_000)
            writer.write_eof()
            assert len(await asyncio.wait_for(reader.read(), PATIENCE)) == 500_000

    run(story())


def test_a_cut_ends_connections_and_refuses_new_ones_until_it_heals(ports):
    async def story():
        async with proxied(ports) as proxy:
            link = await connect(ports)
            assert await asked(link) == b"hello"
            proxy.obey(Order(name="a", rule=Rule(how="cut", server="store")))
            assert await is_gone(link)
            assert await is_gone(await connect(ports))
            proxy.obey(Order(name="a", rule=None))
            assert await asked(await connect(ports)) == b"hello"

    run(story())


def test_silence_keeps_connections_open_and_what_was_sent_arrives_when_it_heals(ports):
    async def story():
        async with proxied(ports) as proxy:
            old = await connect(ports)
            assert await asked(old) == b"hello"
            proxy.obey(Order(name="a", rule=Rule(how="silence")))
            for reader, writer in (old, await connect(ports)):
                writer.write(b"late")
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(reader.read(1000), SILENT_SECONDS)
            proxy.obey(Order(name="a", rule=None))
            assert await asyncio.wait_for(old[0].read(1000), PATIENCE) == b"late"

    run(story())


def test_a_delay_holds_back_each_way(ports):
    async def story():
        async with proxied(ports) as proxy:
            link = await connect(ports)
            proxy.obey(Order(name="a", rule=Rule(how="delay", seconds=DELAY)))
            began = asyncio.get_running_loop().time()
            assert await asked(link) == b"hello"
            assert asyncio.get_running_loop().time() - began >= 2 * DELAY

    run(story())


def test_an_http_request_is_answered_with_503_and_the_connection_ends(ports):
    async def story():
        async with proxied(ports) as proxy:
            proxy.obey(Order(name="a", rule=Rule(how="unavailable", server="store")))
            reader, writer = await connect(ports)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            head, _, body = (await asyncio.wait_for(reader.read(), PATIENCE)).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            assert f"Content-Length: {len(body)}".encode() in head

    run(story())


def test_a_rule_for_one_client_leaves_the_others_alone(ports):
    names = {}

    async def story():
        async with proxied(
            ports, lambda _, wanted: {at: each for at, each in names.items() if each in wanted}
        ) as proxy:
            links = {name: await connect(ports) for name in ("sink", "web")}
            for name, link in links.items():
                names[link[1].get_extra_info("sockname")[1], ports["proxy"]] = name
                assert await asked(link) == b"hello"
            proxy.obey(Order(name="a", rule=Rule(how="cut", client="sink")))
            assert await is_gone(links["sink"])
            assert await asked(links["web"]) == b"hello"

    run(story())


def test_a_server_that_is_away_closes_the_connection(ports):
    async def story():
        (listening,) = await serve(Proxy(lambda _: ports["server"], lambda *_: {}), {"store": ports["proxy"]})
        assert await is_gone(await connect(ports))
        listening.close()

    run(story())


def test_a_broker_is_parted_from_clients_brokers_and_controllers():
    rules = isolation("kafka-2")
    concerned = [
        ("executor-0", "kafka-2"),
        ("kafka-1", "kafka-2"),
        ("kafka-2", "controller-1"),
        ("kafka-3", "controller-2"),
    ]
    assert all(any(rule.concerns(*link) for rule in rules) for link in concerned)
    assert not any(rule.concerns(*link) for rule in rules for link in [("kafka-1", "kafka-3"), ("sink", "postgres")])


def test_the_process_behind_a_connection_is_found(tmp_path, ports):
    me = identify(os.getpid())
    process = {"name": "sink", "pid": me.pid, "state": "running", "port": None, "metrics": None}
    status = Status(
        data=str(tmp_path), supervisor=me, ready=True, addresses={}, processes=(process,), identities=(), environment={}
    )
    states.write(status)

    async def story():
        async with proxied(ports):
            link = await connect(ports)
            mine = (link[1].get_extra_info("sockname")[1], ports["proxy"])
            assert owners.of_connections(tmp_path, {mine, (1, 2)}, {"sink"}) == {mine: "sink"}
            assert owners.of_connections(tmp_path, {mine}, {"web"}) == {}

    run(story())
