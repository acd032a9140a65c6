"""Where the local stack keeps what all stacks of this machine share."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class InfraSettings(BaseSettings):
    """Read once per command, from the environment (prefix `TIDEMILL_`)."""

    model_config = SettingsConfigDict(env_prefix="TIDEMILL_", frozen=True, extra="ignore")

    cache: Path = Path("~/.cache/tidemill")
    """Jars, and the locks by which stacks share the ports of this machine."""
    postgres_home: Path = Path("/var/lib/tidemill")
    """Used by root alone: for Postgres' files when the user it runs as cannot enter the folder they belong in."""
    serve_listen: str = "127.0.0.1"
    """`python -m infra.serve`: the address to listen at; 0.0.0.0 in a container."""
    serve_name: str = "127.0.0.1"
    """`python -m infra.serve`: the name by which others reach this server; the service's in a container."""
    serve_port: int = 8083
    serve_data: Path = Path(".tidemill/serve")
