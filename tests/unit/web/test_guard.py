"""Which requests may come in: a pure decision."""

from __future__ import annotations

import pytest

from tidemill.web.guard import Door, refusal, session_of

TOKEN = "a-token-of-this-test"
LOCAL = Door(hosts=frozenset({"127.0.0.1:80"}))
HOST = {"host": "127.0.0.1:80"}


def status(door, method="GET", path="/runs", **headers):
    named = HOST | {name.replace("_", "-"): value for name, value in headers.items()}
    found = refusal(door, method, path, named)
    return found.status if found else None


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"sec_fetch_site": "same-origin"}, None),
        ({"sec_fetch_site": "same-origin", "origin": "https://tide.example"}, None),
        ({"sec_fetch_site": "same-site", "origin": "http://127.0.0.1:80"}, 403),
        ({"sec_fetch_site": "none"}, 403),
        ({"origin": "http://127.0.0.1:80"}, None),
        ({"origin": "http://127.0.0.1:81"}, 403),
        ({"origin": "null"}, 403),
        ({}, 403),
    ],
)
def test_a_change_comes_from_the_page_itself(headers, found):
    assert status(LOCAL, "POST", **headers) == found
    assert status(LOCAL, "GET", **headers) is None


def test_the_host_must_be_a_name_of_the_page():
    assert status(LOCAL, host="evil.example") == 421
    assert status(LOCAL, host="") == 421
    assert status(LOCAL, host="127.0.0.1:80") is None


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({}, 401),
        ({"authorization": f"Bearer {TOKEN}"}, None),
        ({"authorization": "Bearer "}, 401),
        ({"cookie": f"tidemill_session={session_of(TOKEN)}"}, None),
        ({"cookie": f"tidemill_session={TOKEN}"}, 401),
        ({"cookie": "tidemill_session="}, 401),
        ({"cookie": "=;;\x00"}, 401),
    ],
)
def test_elsewhere_a_token_opens_the_door(headers, found):
    door = Door(hosts=frozenset(), token=TOKEN)
    assert status(door, **headers) == found
    assert status(door, path="/login", **headers) is None
    assert status(door, path="/static/style.css", **headers) is None
    assert status(door, path="/statics", **headers) == found


def test_behind_a_proxy_its_header_names_the_user():
    door = Door(hosts=frozenset(), proxy_header="X-Forwarded-User")
    assert status(door) == 401
    assert status(door, x_forwarded_user="") == 401
    assert status(door, x_forwarded_user="ada") is None
