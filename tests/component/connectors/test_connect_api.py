"""Answers of other servers in the place of Kafka Connect raise the exception that waiting code handles."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager

import pytest

from connectors.connect_api import ConnectUnavailableError, get_config, get_state, put_config

ANSWERS = {
    "HTML": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>",
    "no HTTP": b"220 mail.example.org ESMTP\r\n",
    "half of an answer": b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"tasks": [',
    "half of a refusal": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 1000\r\n\r\nthe config",
    "nothing": b"",
}


@contextmanager
def answering(answer):
    """A function that starts a server with one fixed answer; returns its address."""

    def serve():
        client, _ = server.accept()
        with client:
            client.recv(65536)
            client.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_another_servers_answer_counts_as_no_answer_of_connect(answer):
    with answering(answer) as url, pytest.raises(ConnectUnavailableError, match=url):
        get_state(url, "tidemill-source")


@pytest.mark.parametrize("url", ["", "connect:8083", "//connect:8083", "http://connect:port", "http://127.0.0.1:1"])
def test_an_invalid_address_is_named(url):
    for ask in (lambda: get_config(url, "tidemill-source"), lambda: put_config(url, "tidemill-source", {})):
        with pytest.raises(ConnectUnavailableError, match="Kafka Connect") as refused:
            ask()
        assert url in str(refused.value)
