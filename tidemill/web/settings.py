"""The settings of the web page, and the refusal to listen where every other machine could use it."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.settings import InvalidSettingsError
from tidemill.web.guard import Door

HTTP = 80
"""A browser leaves this port out."""
SHORTEST_TOKEN = 16
"""Characters; a shorter token can be guessed."""


class WebSettings(BaseSettings):
    """Read once, in `main()`, from the environment (prefix `TIDEMILL_`)."""

    model_config = SettingsConfigDict(env_prefix="TIDEMILL_", frozen=True, extra="ignore")

    web_listen: str = "127.0.0.1:8080"
    """Address and port. An address that other machines reach needs `web_token_file` or `web_proxy_header`."""
    web_hosts: str = ""
    """More names, separated by commas, that a browser may use in the Host header, such as `tidemill.example.org`."""
    web_token_file: Path | None = None
    """A file with the token that a user gives once in the browser."""
    web_proxy_header: str | None = None
    """The header in which an authenticating proxy names the user, such as `X-Forwarded-User`. Only the proxy may be
    able to reach the port."""
    web_grafana: str | None = Field(default=None, pattern="^https?://")
    """A Grafana with Tidemill's dashboards, such as `http://127.0.0.1:3000`: each page links to its own."""
    web_connections: int = Field(default=8, ge=1)
    """The most connections to Postgres for reading; writes use up to eight more."""


def address_of(settings: WebSettings) -> tuple[str, int]:
    """The host and the port to listen on. Raises `InvalidSettingsError`."""
    host, _, port = settings.web_listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InvalidSettingsError(
            f"TIDEMILL_WEB_LISTEN is {settings.web_listen!r}: it must be an address and a port, such as 127.0.0.1:8080"
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


def door_of(settings: WebSettings) -> Door:
    """Who may come in. Raises `InvalidSettingsError` if other machines could use the page without a login."""
    host, port = address_of(settings)
    token = _token(settings.web_token_file) if settings.web_token_file else None
    names = [each.strip().lower() for each in settings.web_hosts.split(",") if each.strip()]
    is_local = _is_loopback(host)
    if not is_local and token is None and settings.web_proxy_header is None:
        raise InvalidSettingsError(
            f"TIDEMILL_WEB_LISTEN is {settings.web_listen!r}, which other machines may reach: set "
            "TIDEMILL_WEB_TOKEN_FILE, or TIDEMILL_WEB_PROXY_HEADER behind a proxy that logs users in (docs/web.md)"
        )
    own = f"[{host}]" if ":" in host else host
    local = ["127.0.0.1", "localhost", "[::1]", own] if is_local else []
    without_port = [*names, *(local if port == HTTP else [])]
    hosts = {*without_port, *(f"{each}:{port}" for each in [*names, *local])}
    return Door(hosts=frozenset(hosts), token=token, proxy_header=settings.web_proxy_header)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _token(file: Path) -> str:
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettingsError(f"TIDEMILL_WEB_TOKEN_FILE cannot be read: {error}") from error
    if len(token) < SHORTEST_TOKEN:
        raise InvalidSettingsError(
            f"TIDEMILL_WEB_TOKEN_FILE has a token of {len(token)} characters: it must have at least {SHORTEST_TOKEN}"
        )
    return token
