"""The random credentials of one data folder: made once, readable only by the folder's owner."""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec
import orjson

from infra.files import write_private


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    postgres_password: str
    s3_access_key: str
    s3_secret_key: str


def credentials(data: Path) -> Credentials:
    path = data / "credentials.json"
    if not path.exists():
        made = Credentials(
            postgres_password=secrets.token_hex(16),
            s3_access_key=secrets.token_hex(10),
            s3_secret_key=secrets.token_hex(20),
        )
        write_private(path, orjson.dumps(msgspec.to_builtins(made)))
    return msgspec.convert(orjson.loads(path.read_bytes()), Credentials)
