"""The setting of the port on which a process shows its metrics and its health."""

from __future__ import annotations

from pydantic import field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class ObserveSettings(BaseSettings):
    """Every process reads it once, in `main()`, from the environment (prefix `TIDEMILL_`)."""

    model_config = SettingsConfigDict(env_prefix="TIDEMILL_", frozen=True, extra="ignore")

    observe_listen: str | None = None
    """`HOST:PORT` for `/metrics`, `/livez` and `/readyz`, such as `127.0.0.1:9464` or `[::]:9464`. None: no port."""

    @field_validator("observe_listen")
    @classmethod
    def _is_an_address(cls, text: str | None) -> str | None:
        if text:
            parse_address(text)
        return text or None


def parse_address(text: str) -> tuple[str, int]:
    """The host and the port of `HOST:PORT`. Raises `ValueError` with a sentence."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ValueError("it must be HOST:PORT, such as 127.0.0.1:9464 or [::]:9464")
    return host.removeprefix("[").removesuffix("]"), int(port)
