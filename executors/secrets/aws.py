"""AWS Secrets Manager, through boto3: `secret:ID`, or `secret:ID#FIELD` for one field of a secret that is JSON."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from typing import Any

import boto3
import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from executors.s3 import UnreachableError
from executors.secrets.provider import Answers, SecretError, checked

_CONNECT_SECONDS = 2
_READ_SECONDS = 5
_FOR_GOOD = frozenset(
    {
        "AccessDeniedException",
        "DecryptionFailure",
        "ExpiredTokenException",
        "InvalidParameterException",
        "InvalidRequestException",
        "InvalidSignatureException",
        "ResourceNotFoundException",
        "UnrecognizedClientException",
        "ValidationException",
    }
)
"""Refusals that a retry does not change."""


class SecretsManager:
    """Credentials are those that boto3 finds: environment, file, or role of the machine or the pod."""

    def __init__(self, region: str, endpoint: str | None = None) -> None:
        self._region, self._endpoint = region, endpoint
        self._lock = threading.Lock()
        self._client: Any = None

    def stamp(self, _: str) -> Hashable:
        return None

    def read(self, names: Sequence[str]) -> Answers:
        """One call for each secret, also if several names ask for fields of it."""
        found = {secret_id: self._get(secret_id) for secret_id in {_parts(name)[0] for name in names}}
        return {name: _field_of(name, found[_parts(name)[0]]) for name in names}

    def _get(self, secret_id: str) -> bytes | SecretError:
        try:
            answer = self._connected().get_secret_value(SecretId=secret_id)
        except ParamValidationError:
            return SecretError(f"secret {secret_id!r} is not the name of a secret of AWS")
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _FOR_GOOD:
                return SecretError(f"AWS Secrets Manager refuses secret {secret_id!r}: {code}")
            raise UnreachableError(f"AWS Secrets Manager does not give secret {secret_id!r}: {code}") from None
        except BotoCoreError as error:
            raise UnreachableError(f"AWS Secrets Manager is unreachable: {type(error).__name__}") from None
        text = answer.get("SecretString")
        return bytes(answer.get("SecretBinary", b"")) if text is None else str(text).encode()

    def _connected(self) -> Any:
        """Made by the first thread that needs it: looking for credentials may ask the network."""
        with self._lock:
            if self._client is None:
                self._client = boto3.session.Session().client(
                    "secretsmanager",
                    region_name=self._region,
                    endpoint_url=self._endpoint,
                    config=Config(
                        connect_timeout=_CONNECT_SECONDS,
                        read_timeout=_READ_SECONDS,
                        retries={"total_max_attempts": 1},  # our code retries, within its own time limit
                    ),
                )
            return self._client


def _parts(name: str) -> tuple[str, str]:
    secret_id, _, field = name.partition("#")
    return secret_id, field


def _field_of(name: str, value: bytes | SecretError) -> str | SecretError:
    field = _parts(name)[1]
    if isinstance(value, SecretError) or not field:
        return value if isinstance(value, SecretError) else checked(name, value)
    try:
        found = msgspec.json.decode(value, type=dict[str, msgspec.Raw])[field]
        text = msgspec.json.decode(found, type=str) if bytes(found).startswith(b'"') else bytes(found).decode()
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError):  # the text of the error may contain a value
        return SecretError(f"secret {name!r} is not a field of a JSON object")
    return checked(name, text.encode())
