"""Where the page listens, and when it refuses to."""

from __future__ import annotations

import pytest

from schemas.settings import InvalidSettingsError
from tidemill.web.settings import WebSettings, address_of, door_of


@pytest.mark.parametrize("listen", ["127.0.0.1:8080", "[::1]:8080", "localhost:8080"])
def test_this_machine_needs_no_login_and_checks_the_host(listen):
    door = door_of(WebSettings(web_listen=listen, web_hosts="Tide.example"))
    assert {"127.0.0.1:8080", "localhost:8080", "[::1]:8080", "tide.example", "tide.example:8080"} == door.hosts


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080", "10.0.0.7:80", "tide.example:80"])
def test_elsewhere_the_page_refuses_to_listen_without_a_login(listen, tmp_path):
    with pytest.raises(InvalidSettingsError, match="set TIDEMILL_WEB_TOKEN_FILE, or TIDEMILL_WEB_PROXY_HEADER"):
        door_of(WebSettings(web_listen=listen))
    assert door_of(WebSettings(web_listen=listen, web_proxy_header="X-User")).hosts == frozenset()
    file = tmp_path / "token"
    file.write_text("a" * 16)
    assert door_of(WebSettings(web_listen=listen, web_token_file=file)).token == "a" * 16


def test_a_token_that_can_be_guessed_or_not_be_read_is_refused(tmp_path):
    file = tmp_path / "token"
    with pytest.raises(InvalidSettingsError, match="cannot be read"):
        door_of(WebSettings(web_token_file=file))
    file.write_text("short\n")
    with pytest.raises(InvalidSettingsError, match="5 characters: it must have at least 16"):
        door_of(WebSettings(web_token_file=file))


@pytest.mark.parametrize("listen", ["8080", "127.0.0.1:", ":80", "127.0.0.1:x", "127.0.0.1:65536"])
def test_an_address_without_a_port_is_refused(listen):
    with pytest.raises(InvalidSettingsError, match="it must be an address and a port"):
        address_of(WebSettings(web_listen=listen))


def test_a_browser_leaves_the_usual_port_out():
    assert {"localhost", "localhost:80"} <= door_of(WebSettings(web_listen="localhost:80")).hosts


def test_another_address_of_this_machine_is_a_name_of_the_page():
    assert "127.0.0.2:8080" in door_of(WebSettings(web_listen="127.0.0.2:8080")).hosts
