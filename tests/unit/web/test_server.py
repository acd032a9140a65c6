"""The server of the web page is live while its loop turns, and ready while its port is open and it does not stop."""

from __future__ import annotations

import threading
from contextlib import closing
from http.client import HTTPConnection

import uvicorn

from infra.ports import Ports
from observe.health import STARTING, Health
from tests.support.waiting import eventually
from tidemill.web.server import LIMIT, Server


def test_a_server_tells_its_health_from_its_start_to_its_stop(tmp_path):
    now, arrived, go_on = [0.0], threading.Event(), threading.Event()

    async def blocks(scope, receive, send):
        arrived.set()
        assert go_on.wait(10)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with closing(Ports(tmp_path, tmp_path, ["web"])) as ports:
        health, port = Health(lambda: now[0]), ports.of("web")
        server = Server(uvicorn.Config(blocks, port=port, lifespan="off", log_config=None), health)
        assert health.why_not_ready == STARTING
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            eventually(lambda: health.why_not_ready is None)
            with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as client:
                client.request("GET", "/")
                assert arrived.wait(10)
                now[0] += LIMIT.total_seconds() + 1
                assert "'web'" in (health.why_not_live or "")
                go_on.set()
                assert client.getresponse().status == 204
            eventually(lambda: health.why_not_live is None)
        finally:
            server.should_exit = True
            thread.join(10)
        assert health.why_not_ready == "it is stopping"
