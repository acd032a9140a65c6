"""Objects in S3, as the executor needs them: what an object is now, its bytes into a file, a piece of log."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from schemas.errors import TidemillError
from schemas.settings import S3_DIALECT, Connections

_CONNECT_SECONDS = 2
_READ_SECONDS = 5
_PIECE_BYTES = 256 * 1024
_POOL_CONNECTIONS = 24


class ObjectError(TidemillError):
    """The object cannot be had, and asking again will not help."""


class UnreachableError(TidemillError):
    """S3 did not answer as it should; asking again may help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    etag: str
    sha256: str
    size: int


def parse_address(uri: str) -> Address:
    """Raises `ObjectError`."""
    parts = urlsplit(uri)
    key = uri.removeprefix(f"s3://{parts.netloc}/")
    if parts.scheme != "s3" or not parts.netloc or not key or key == uri:
        raise ObjectError(f"binary {uri!r} is no address of the form s3://bucket/key")
    return Address(bucket=parts.netloc, key=key)


class ObjectStore:
    """A client for threads: every call blocks for a few seconds at most, downloads until their deadline."""

    def __init__(self, connections: Connections) -> None:
        self._client = _client(connections)

    def etag(self, address: Address) -> str:
        """What identifies the object's present content. Raises `ObjectError` or `UnreachableError`."""
        try:
            return str(self._client.head_object(Bucket=address.bucket, Key=address.key)["ETag"])
        except (ClientError, BotoCoreError) as error:
            raise _explain(address, error) from error

    def download(self, address: Address, target: Path, *, max_bytes: int, until: float) -> Download:
        """`until` is a moment of the monotonic clock. Raises `ObjectError` or `UnreachableError`."""
        try:
            answer = self._client.get_object(Bucket=address.bucket, Key=address.key)
            if answer["ContentLength"] > max_bytes:
                raise ObjectError(f"{address} has {answer['ContentLength']} bytes; the cache holds {max_bytes} in all")
            digest, size = _save(address, answer["Body"], target, until)
        except (ClientError, BotoCoreError, OSError) as error:
            raise _explain(address, error) from error
        return Download(etag=answer["ETag"], sha256=digest, size=size)

    def read(self, address: Address, max_bytes: int) -> bytes:
        """A small object. Raises `ObjectError` or `UnreachableError`."""
        try:
            answer = self._client.get_object(Bucket=address.bucket, Key=address.key)
            if answer["ContentLength"] > max_bytes:
                raise ObjectError(f"{address} has {answer['ContentLength']} bytes; at most {max_bytes} are allowed")
            data: bytes = answer["Body"].read()
        except (ClientError, BotoCoreError, OSError) as error:
            raise _explain(address, error) from error
        return data

    def put(self, address: Address, data: bytes, content_type: str = "text/plain") -> None:
        """Raises `ObjectError` or `UnreachableError`."""
        try:
            self._client.put_object(Bucket=address.bucket, Key=address.key, Body=data, ContentType=content_type)
        except (ClientError, BotoCoreError) as error:
            raise _explain(address, error) from error

    def put_file(self, address: Address, file: Path, content_type: str) -> None:
        """Raises `ObjectError` or `UnreachableError`."""
        try:
            with file.open("rb") as body:
                self._client.put_object(Bucket=address.bucket, Key=address.key, Body=body, ContentType=content_type)
        except (ClientError, BotoCoreError, OSError) as error:
            raise _explain(address, error) from error


def _save(address: Address, body: Any, target: Path, until: float) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as file:
        for piece in body.iter_chunks(_PIECE_BYTES):
            digest.update(piece)
            size += file.write(piece)
            if time.monotonic() > until:
                raise UnreachableError(f"{address} is not there in time: {size} bytes so far")
    return digest.hexdigest(), size


def _explain(address: Address, error: Exception) -> ObjectError | UnreachableError:
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status == 404:
            return ObjectError(f"{address} does not exist")
        if status in (400, 401, 403):
            return ObjectError(f"{address} is refused by S3: {error}")
    return UnreachableError(f"S3 is unreachable for {address}: {error}")


def _client(connections: Connections) -> Any:
    return boto3.client(
        **connections.s3(),
        config=Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"total_max_attempts": 1},  # we retry ourselves, within limits of our own
            max_pool_connections=_POOL_CONNECTIONS,
            **S3_DIALECT,
        ),
    )
