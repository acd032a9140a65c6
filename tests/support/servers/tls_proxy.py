"""A TLS proxy in front of a Postgres built without TLS: it accepts only encrypted connections."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import trustme

_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104
_PIECE = 64 * 1024
_START_SECONDS = 10


@contextmanager
def running_tls_proxy(port: int, behind: int, certificate: trustme.LeafCert) -> Iterator[None]:
    """Proxies `port` to the plain server at port `behind`, which may restart."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    loop, listening = asyncio.new_event_loop(), threading.Event()
    thread = threading.Thread(
        target=_serve, args=(loop, listening, port, behind, context), name="tls-front", daemon=True
    )
    thread.start()
    assert listening.wait(_START_SECONDS)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _serve(
    loop: asyncio.AbstractEventLoop, listening: threading.Event, port: int, behind: int, context: ssl.SSLContext
) -> None:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
            if await _encrypted(reader, writer, context):
                await _relay(reader, writer, behind)
        writer.close()

    asyncio.set_event_loop(loop)
    loop.run_until_complete(asyncio.start_server(meet, "127.0.0.1", port))
    loop.call_soon(listening.set)
    loop.run_forever()
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


async def _encrypted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext) -> bool:
    """Negotiates TLS as Postgres does with `hostssl`; False for a client without encryption."""
    while True:
        length, code = struct.unpack(">II", await reader.readexactly(8))
        if length != 8 or code not in {_SSL_REQUEST, _GSS_REQUEST}:
            return False
        writer.write(b"S" if code == _SSL_REQUEST else b"N")
        await writer.drain()
        if code == _SSL_REQUEST:
            await writer.start_tls(context)
            return True


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, behind: int) -> None:
    inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", behind)
    ways = [
        asyncio.ensure_future(_pour(reader, inner_writer)),
        asyncio.ensure_future(_pour(inner_reader, writer)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        inner_writer.close()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
