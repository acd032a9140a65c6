"""Who may read and who may write, and what a page may do in the browser."""

from __future__ import annotations

import socket
from collections import Counter
from contextlib import ExitStack

import pytest

from tests.support.waiting import eventually
from tests.support.web_site import running_site
from tidemill.web.events import MOST_READERS

TOKEN = "a-token-of-this-test"


def test_every_answer_limits_what_the_page_may_do(site):
    for path in ("/runs", "/nowhere", "/static/style.css"):
        headers = site.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self';")
        assert headers["x-content-type-options"] == "nosniff"


def test_a_name_of_another_site_is_refused(site):
    """A page of evil.example cannot read ours by pointing its name at 127.0.0.1."""
    assert site.get("/runs", Host="evil.example").status == 421
    assert site.get("/runs", Host=f"localhost:{site.port}").status == 200


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
)
def test_a_form_of_another_site_writes_nothing(site, database, headers):
    database.job()
    database.run(state="running")
    assert site.post("/runs/j%23r/cancel", **headers).status == 403
    assert database.all("select * from tidemill.requests") == []


def test_with_a_token_a_browser_logs_in_once(target, tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    with running_site(target, web_token_file=file) as site:
        assert site.get("/runs").status == 401
        assert site.get("/runs", Accept="text/html").headers["location"] == "/login"
        assert site.post("/login", {"token": "wrong"}).status == 403
        entered = site.post("/login", {"token": TOKEN})
        cookie = entered.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert TOKEN not in cookie
        assert site.get("/runs", Cookie=cookie.partition(";")[0]).status == 200
        assert site.get("/runs", Authorization=f"Bearer {TOKEN}").status == 200
        assert site.get("/events").status == 401


def test_behind_a_proxy_a_request_without_its_user_is_refused(target):
    with running_site(target, web_proxy_header="X-Forwarded-User") as site:
        assert site.get("/runs").status == 401
        assert site.get("/runs", X_Forwarded_User="ada").status == 200


def test_a_bug_is_a_page_without_its_details(site, monkeypatch):
    monkeypatch.setattr("tidemill.web.pages.runs.count", lambda *_: 1 // 0)
    page = site.get("/runs")
    assert page.status == 500
    assert "the log of this process has the reason" in page.text.lower()
    assert "ZeroDivision" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'self';")


@pytest.mark.parametrize("origin", ["null", "http://[", "https://127.0.0.1:1"])
def test_an_origin_that_is_not_this_page_writes_nothing(site, origin):
    assert site.post("/zone", {"timezone": "UTC"}, Origin=origin).status == 403


def test_a_cookie_of_another_site_on_the_same_host_hides_no_session(target, tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    with running_site(target, web_token_file=file) as site:
        own = site.post("/login", {"token": TOKEN}).headers["set-cookie"].partition(";")[0]
        assert site.get("/runs", Cookie=f'other={{"a": [1]}}; {own}').status == 200


def test_who_has_no_token_cannot_send_much(target, tmp_path):
    """The answer comes while the rest of the body is still missing."""
    file = tmp_path / "token"
    file.write_text(TOKEN)
    with running_site(target, web_token_file=file) as site:
        own = f"127.0.0.1:{site.port}"
        head = f"POST /login HTTP/1.1\r\nHost: {own}\r\nOrigin: http://{own}\r\nContent-Length: {10**10}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection:
            connection.sendall(head.encode() + b"token=" + b"a" * 10_000)
            assert connection.recv(12) == b"HTTP/1.1 403"


def test_a_form_with_many_fields_holds_up_nobody(site):
    """Grouping them took a minute, in which no other page was answered."""
    fields = "&".join(["a=1"] * 250_000)
    headers = {"Origin": site.origin, "Content-Type": "application/x-www-form-urlencoded"}
    assert site._ask("POST", "/zone", fields, headers).status == 303


def test_readers_of_events_that_come_at_once_are_limited(site):
    head = f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n\r\n".encode()
    with ExitStack() as stack:
        address, too_many = ("127.0.0.1", site.port), 20
        readers = [
            stack.enter_context(socket.create_connection(address, timeout=20)) for _ in range(MOST_READERS + too_many)
        ]
        for each in readers:
            each.sendall(head)
        answers = Counter(each.recv(12)[-3:] for each in readers)
        assert answers == {b"200": MOST_READERS, b"503": too_many}
        assert site.get("/runs").status == 200
    eventually(lambda: _is_listening(site, head))


def _is_listening(site, head):
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection:
        connection.sendall(head)
        return connection.recv(12)[-3:] == b"200"
