"""The S3 client of all processes but the executors: reads, writes, lists and deletes objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby, islice
from operator import itemgetter
from typing import Any
from urllib.parse import urlsplit

from schemas.errors import TidemillError
from schemas.settings import S3_DIALECT, Connections

CONNECT_SECONDS = 5
READ_SECONDS = 30
DELETED_AT_ONCE = 1000
"""S3's limit for one request."""


class ObjectsError(TidemillError):
    """S3 did not carry out a request."""


class Objects:
    """One client. Every method raises `ObjectsError`, with a sentence that contains the endpoint."""

    __slots__ = ("_client", "_connections")

    def __init__(self, connections: Connections) -> None:
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - see _client

        self._connections = connections
        try:
            self._client = _client(connections)
        except (BotoCoreError, ValueError) as error:
            raise ObjectsError(f"S3 at {self._address()} cannot be used: {error}") from error

    def make_bucket(self) -> None:
        """Create the bucket of the settings, if it does not exist."""
        bucket = self._connections.s3_bucket
        try:
            self._ask("head_bucket", Bucket=bucket)
        except ObjectsError:
            self._ask("create_bucket", Bucket=bucket)

    def put(self, key: str, content: bytes) -> str:
        """Write an object into the bucket of the settings; returns its URI."""
        self._ask("put_object", Bucket=self._connections.s3_bucket, Key=key, Body=content)
        return f"s3://{self._connections.s3_bucket}/{key}"

    def read(self, uri: str) -> bytes:
        bucket, key = _split(uri)
        content: bytes = self._ask("get_object", Bucket=bucket, Key=key)["Body"].read()
        return content

    def below(self, prefix_uri: str, after: str = "") -> Iterator[str]:
        """The sorted URIs below a prefix, those after `after` (a URI, or empty)."""
        yield from (uri for uri, _ in self.dated(prefix_uri, after))

    def dated(self, prefix_uri: str, after: str = "") -> Iterator[tuple[str, datetime]]:
        """The URIs of `below`, each with the time at which the object was stored."""
        bucket, prefix = _split(prefix_uri)
        _, start = _split(after)
        while True:
            page = self._ask("list_objects_v2", Bucket=bucket, Prefix=prefix.strip("/") + "/", StartAfter=start)
            found = sorted((each["Key"], each["LastModified"]) for each in page.get("Contents", ()))
            yield from ((f"s3://{bucket}/{key}", stored_at) for key, stored_at in found)
            if not page.get("IsTruncated") or not found:
                return
            start = found[-1][0]

    def delete(self, uris: Iterable[str]) -> dict[str, str]:
        """Delete objects; a missing object is no error. Returns those that S3 did not delete, with S3's reason."""
        kept: dict[str, str] = {}
        for bucket, keys in groupby(map(_split, uris), key=itemgetter(0)):
            while found := [{"Key": key} for _, key in islice(keys, DELETED_AT_ONCE)]:
                answer = self._ask("delete_objects", Bucket=bucket, Delete={"Objects": found, "Quiet": True})
                for each in answer.get("Errors", ()):
                    kept[f"s3://{bucket}/{each['Key']}"] = f"{each.get('Code')}: {each.get('Message')}"
        return kept

    def _ask(self, operation: str, **arguments: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - see _client

        try:
            return getattr(self._client, operation)(**arguments)
        except (BotoCoreError, ClientError) as error:
            raise ObjectsError(f"S3 at {self._address()}: {error}") from error

    def _address(self) -> str | None:
        return self._connections.s3_endpoint or self._connections.s3_region


def _split(uri: str) -> tuple[str, str]:
    """The bucket and the key."""
    bucket = urlsplit(uri).netloc
    return bucket, uri.removeprefix(f"s3://{bucket}").lstrip("/")


def _client(connections: Connections) -> Any:
    import boto3  # noqa: PLC0415 - it takes 0.3 s and 30 MB; most commands, and most sinks, never need it
    from botocore.config import Config  # noqa: PLC0415

    limits: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": READ_SECONDS,
        "retries": {"max_attempts": 2},
    }
    return boto3.client(**connections.s3(), config=Config(**limits, **S3_DIALECT))
