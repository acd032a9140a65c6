"""The executor's S3 client: reads an object's ETag, downloads and uploads objects."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from schemas.errors import TidemillError
from schemas.settings import S3_DIALECT, Connections

_CONNECT_SECONDS = 2
_READ_SECONDS = 5
_PIECE_BYTES = 256 * 1024
_POOL_CONNECTIONS = 24
_PROBE_KEY = "probe"
"""No such object has to be there: every answer shows that S3 is."""
_HEADERS = {"ETag": "ETag", "ContentLength": "Content-Length"}
_TROUBLE = (ClientError, BotoCoreError, HTTPError, OSError)
"""What the client raises if S3 refuses a request, is unreachable, or closes the connection."""


_REFUSALS = (400, 401, 403, 405, 411, 413, 414, 501)
_PASSING = ("RequestTimeout", "RequestTimeTooSkewed")
"""Error codes that come with such a status, although a later request may succeed."""


class ObjectError(TidemillError):
    """S3 cannot read or write the object, and a retry will not help."""


class DiskError(TidemillError):
    """The executor cannot write the file that an object goes to; S3 is not the reason."""


class UnreachableError(TidemillError):
    """S3 did not answer, or not correctly; a retry may help."""


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
    refusal = ObjectError(f"executable {uri!r} is not an address of the form s3://bucket/key")
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise refusal from error
    key = uri.removeprefix(f"s3://{parts.netloc}/")
    if parts.scheme != "s3" or not parts.netloc or not key or key == uri or "\0" in key:
        raise refusal
    return Address(bucket=parts.netloc, key=key)


class ObjectStore:
    """Call it from threads: every call blocks, a download until its deadline, all others for a few seconds."""

    def __init__(self, connections: Connections) -> None:
        self._client = _client(connections)
        self._is_doubted = False
        """The newest request that ended had no answer from S3."""

    def probe(self, bucket: str) -> str | None:
        """Why S3 is out of reach; None: it answers. Sends a request only if the last one had no answer."""
        if not self._is_doubted:
            return None
        try:
            self.etag(Address(bucket=bucket, key=_PROBE_KEY))
        except UnreachableError as error:
            return str(error)
        except ObjectError:  # also a refusal is an answer
            pass
        return None

    def etag(self, address: Address) -> str:
        """The ETag, which identifies the object's current content. Raises `ObjectError` or `UnreachableError`."""
        with self._noting(address):
            answer = self._client.head_object(Bucket=address.bucket, Key=address.key)
        return str(_field(address, answer, "ETag"))

    def download(self, address: Address, target: Path, *, max_bytes: int, until: float) -> Download:
        """`until` is a time of the monotonic clock. Raises `ObjectError`, `UnreachableError` or `DiskError`."""
        digest, size = hashlib.sha256(), 0
        with self._noting(address):
            answer = self._client.get_object(Bucket=address.bucket, Key=address.key)
            _check_time(address, until, "nothing")  # after the deadline the caller has removed the file
            with _writing(target) as write:
                for piece in _pieces(address, answer, max_bytes, until):
                    digest.update(piece)
                    size += write(piece)
        return Download(etag=str(_field(address, answer, "ETag")), sha256=digest.hexdigest(), size=size)

    def read(self, address: Address, max_bytes: int, until: float) -> bytes:
        """Read a small object. Raises `ObjectError` or `UnreachableError`."""
        with self._noting(address):
            answer = self._client.get_object(Bucket=address.bucket, Key=address.key)
            return b"".join(_pieces(address, answer, max_bytes, until))

    def put(self, address: Address, data: bytes, content_type: str = "text/plain") -> None:
        """Raises `ObjectError` or `UnreachableError`."""
        with self._noting(address):
            self._client.put_object(Bucket=address.bucket, Key=address.key, Body=data, ContentType=content_type)

    def put_file(self, address: Address, file: IO[bytes], content_type: str) -> None:
        """Raises `ObjectError` or `UnreachableError`."""
        with self._noting(address):
            file.seek(0)
            self._client.put_object(Bucket=address.bucket, Key=address.key, Body=file, ContentType=content_type)

    @contextmanager
    def _noting(self, address: Address) -> Iterator[None]:
        """Explains what the client raises, and notes whether S3 answered."""
        try:
            yield
        except UnreachableError:
            self._is_doubted = True
            raise
        except _TROUBLE as error:
            explained = _explain(address, error)
            self._is_doubted = isinstance(explained, UnreachableError)
            raise explained from error
        self._is_doubted = False


@contextmanager
def _writing(target: Path) -> Iterator[Callable[[bytes], int]]:
    """Writes a new file without a buffer; a failed try may have left the old one. Raises `DiskError`."""
    with _disk_errors(target):
        target.unlink(missing_ok=True)
        file = target.open("xb", buffering=0)

    def write(piece: bytes) -> int:
        with _disk_errors(target):
            written = file.write(piece)
            while written < len(piece):
                written += file.write(piece[written:])
        return written

    with file:
        yield write


@contextmanager
def _disk_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DiskError(f"{target} cannot be written: {error.strerror}") from error


def _pieces(address: Address, answer: Mapping[str, Any], max_bytes: int, until: float) -> Iterator[bytes]:
    """The body in pieces as they arrive. Waiting for full pieces would never end if S3 sends single bytes."""
    with answer["Body"] as stream:
        expected = int(_field(address, answer, "ContentLength"))
        if expected > max_bytes:
            raise ObjectError(f"{address} has {expected} bytes; at most {max_bytes} are allowed")
        size = 0
        while size < expected and (piece := stream.read1(_PIECE_BYTES)):
            size += len(piece)
            _check_time(address, until, f"{size} of {expected} bytes")
            yield piece
        if size < expected:
            raise UnreachableError(f"S3 closed the connection for {address}: {size} of {expected} bytes received")
        stream.drain_conn()  # so that the connection can be reused


def _check_time(address: Address, until: float, so_far: str) -> None:
    if time.monotonic() > until:
        raise UnreachableError(f"{address} did not arrive in time: {so_far} received")


def _field(address: Address, answer: Mapping[str, Any], name: str) -> Any:
    """A field that every S3 sends; a proxy that answers instead of S3 may not."""
    if name not in answer:
        raise UnreachableError(f"the answer for {address} is not from S3: it has no {_HEADERS[name]}")
    return answer[name]


def _explain(address: Address, error: Exception) -> ObjectError | UnreachableError:
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status == 404:
            return ObjectError(f"{address} does not exist")
        if status in _REFUSALS and error.response.get("Error", {}).get("Code") not in _PASSING:
            return ObjectError(f"S3 refuses {address}: {error}")
    return UnreachableError(f"S3 is unreachable for {address}: {error}")


def _client(connections: Connections) -> Any:
    return boto3.client(
        **connections.s3(),
        config=Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"total_max_attempts": 1},  # our code retries, within its own time limits
            max_pool_connections=_POOL_CONNECTIONS,
            **S3_DIALECT,
        ),
    )
