"""A TCP proxy in front of each server of a stack, which cuts, delays or silences the links that a test names.

`python -m tests.chaos.proxy DATA server=port...` reads orders from its standard input, one JSON object a line, and
answers each with a line; it ends when its input ends. `Network` starts it and gives the orders.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec
import orjson

from tests.chaos import owners
from tests.chaos.owners import Ports

ANY = "*"
CHUNK_BYTES = 64 * 1024
TOGETHER_SECONDS = 0.1
OwnersOf = Callable[[Collection[Ports], Collection[str]], Mapping[Ports, str]]
"""Of some connections and the names of some processes: which connection is whose."""
How = Literal["cut", "silence", "delay", "unavailable"]
_BODY = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your request rate</Message></Error>"
UNAVAILABLE = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to the links between some client and some server."""

    how: How
    """`cut`: connections end, and new ones are refused. `silence`: all stay open and carry nothing, until it heals.
    `unavailable`: each HTTP request is answered with 503."""
    client: str = ANY
    """The name of a process of the stack."""
    server: str = ANY
    seconds: float = 0
    """Of a delay, for each piece of data."""

    def concerns(self, client: str, server: str) -> bool:
        return self.client in {ANY, client} and self.server in {ANY, server}


class Order(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    rule: Rule | None
    """None: the rule of this name ends."""


class Link:
    """One connection of a client to a server."""

    def __init__(self, server: str, writer: asyncio.StreamWriter) -> None:
        self.server, self.client, self.writers = server, "", [writer]
        self.ports: Ports = (writer.get_extra_info("peername")[1], writer.get_extra_info("sockname")[1])

    def abort(self) -> None:
        for each in self.writers:
            each.transport.abort()


class Proxy:
    """Forwards connections as the rules of now say. `target_of` gives the port behind a server's name."""

    def __init__(self, target_of: Callable[[str], int], owners_of: OwnersOf) -> None:
        self._target_of, self._owners_of = target_of, owners_of
        self._rules: dict[str, Rule] = {}
        self._links: set[Link] = set()
        self._changed = asyncio.Event()
        self._unnamed: set[Link] = set()
        self._naming: asyncio.Task[None] | None = None

    def obey(self, order: Order) -> None:
        if order.rule is None:
            self._rules.pop(order.name, None)
        else:
            self._rules[order.name] = order.rule
        self._changed.set()
        self._changed = asyncio.Event()
        self._name(self._links)
        for link in [each for each in self._links if self._rule_of(each, "cut")]:
            link.abort()

    async def accept(self, server: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(server, writer)
        self._links.add(link)
        try:
            if not self._rule_of(link, "cut"):
                await self._named(link)
            if not self._rule_of(link, "cut"):
                await self._forward(link, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other side is gone, and so the link ends for both
        finally:
            link.abort()
            self._links.discard(link)

    async def _forward(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._heard(link)
        target = self._target_of(link.server)
        behind, to_server = await asyncio.open_connection("127.0.0.1", target, limit=CHUNK_BYTES)
        link.writers.append(to_server)
        ways = {
            asyncio.ensure_future(self._pump(link, reader, to_server, writer)),
            asyncio.ensure_future(self._pump(link, behind, writer, None)),
        }
        try:
            await asyncio.gather(*ways)
        finally:
            for each in ways:
                each.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pump(
        self,
        link: Link,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        asker: asyncio.StreamWriter | None,
    ) -> None:
        """One direction. `asker`: the client, if the direction carries its requests."""
        while data := await reader.read(CHUNK_BYTES):
            await self._heard(link)
            if asker is not None and self._rule_of(link, "unavailable"):
                asker.write(UNAVAILABLE)
                await asker.drain()
                raise ConnectionAbortedError
            if delay := self._rule_of(link, "delay"):
                await asyncio.sleep(delay.seconds)
            writer.write(data)
            await writer.drain()
        await self._heard(link)
        if writer.can_write_eof():
            writer.write_eof()

    async def _heard(self, link: Link) -> None:
        while self._rule_of(link, "silence"):
            await self._changed.wait()

    def _rule_of(self, link: Link, how: How) -> Rule | None:
        concerned = (rule for rule in self._rules.values() if rule.concerns(link.client, link.server))
        return next((rule for rule in concerned if rule.how == how), None)

    async def _named(self, link: Link) -> None:
        """Links that begin at about the same time are named together: a cut process tries again hundreds of times."""
        if all(rule.client == ANY for rule in self._rules.values()):
            return
        self._unnamed.add(link)
        if self._naming is None:
            self._naming = asyncio.create_task(self._name_soon())
        await asyncio.shield(self._naming)

    async def _name_soon(self) -> None:
        await asyncio.sleep(TOGETHER_SECONDS)
        links, self._unnamed, self._naming = self._unnamed, set(), None
        self._name(links)

    def _name(self, links: Collection[Link]) -> None:
        """Find out which links are those of the clients that rules name."""
        wanted = {rule.client for rule in self._rules.values()} - {ANY}
        if wanted and links:
            found = self._owners_of({each.ports for each in links}, wanted)
            for each in links:
                each.client = found.get(each.ports, "")


async def serve(proxy: Proxy, ports: Mapping[str, int]) -> list[asyncio.Server]:
    def accepting(server: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]:
        return lambda reader, writer: proxy.accept(server, reader, writer)

    return [
        await asyncio.start_server(accepting(server), "127.0.0.1", port, limit=CHUNK_BYTES)
        for server, port in ports.items()
    ]


async def _obey_input(proxy: Proxy) -> None:
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("ready", flush=True)
    while line := await reader.readline():
        proxy.obey(msgspec.json.decode(line, type=Order))
        print("done", flush=True)


async def _main(data: Path, ports: Mapping[str, int]) -> None:
    def target_of(server: str) -> int:
        port: int = orjson.loads((data / "ports.json").read_bytes())[server]
        return port

    proxy = Proxy(target_of, partial(owners.of_connections, data))
    servers = await serve(proxy, ports)
    await _obey_input(proxy)
    for each in servers:
        each.close()


def _ports(pairs: Iterable[str]) -> dict[str, int]:
    return {name: int(port) for name, _, port in (each.partition("=") for each in pairs)}


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(Path(sys.argv[1]), _ports(sys.argv[2:])))
