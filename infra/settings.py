"""The settings of the local stack that are not connections."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class InfraSettings(BaseSettings):
    """Each command reads them once, from the environment (prefix `TIDEMILL_`)."""

    model_config = SettingsConfigDict(env_prefix="TIDEMILL_", frozen=True, extra="ignore")

    cache: Path = Path("~/.cache/tidemill")
    """The folder of the jars, of unpacked packages, and of the locks that keep two stacks from choosing one port."""
    prometheus: Path | None = None
    """A prometheus program; None: the one on PATH, else Debian's package unpacked into the cache."""
    promtool: Path | None = None
    chromium: Path | None = None
    """A Chromium for the tests of the web pages; None: the one on PATH, else an npm package's in the cache."""
    postgres_home: Path = Path("/var/lib/tidemill")
    """Used only if root starts the stack: holds Postgres' files when its user cannot enter the data folder."""
    serve_listen: str = "127.0.0.1"
    """`python -m infra.serve` listens on this address; 0.0.0.0 in a container."""
    serve_name: str = "127.0.0.1"
    """`python -m infra.serve` advertises this host name to clients; in a container, the service's name."""
    serve_port: int = 8083
    serve_data: Path = Path(".tidemill/serve")
