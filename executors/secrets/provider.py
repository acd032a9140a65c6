"""What every provider of secrets offers, and what a value may be."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Protocol

from schemas.errors import TidemillError

MAX_SECRET_BYTES = 32 * 1024


class SecretError(TidemillError):
    """A job may not use a secret that it names, or this executor cannot read it. Its text never contains a value."""


Answers = Mapping[str, str | SecretError]
"""For each name its value, or why there is none."""


class Provider(Protocol):
    def stamp(self, name: str) -> Hashable:
        """Another stamp means that the secret may have changed. It is asked before each use, and does not wait."""

    def read(self, names: Sequence[str]) -> Answers:
        """Called in threads; may wait for some seconds. It answers for every name.

        Raises `UnreachableError` if a retry may help, or `SecretError` for all names.
        """


class NoProvider:
    """The executor has no setting that says where secrets are."""

    def stamp(self, _: str) -> Hashable:
        return None

    def read(self, names: Sequence[str]) -> Answers:
        return {name: SecretError(f"secret {name!r} cannot be resolved: {_UNSET}") for name in names}


_UNSET = (
    "none of TIDEMILL_SECRETS_DIR, TIDEMILL_SECRETS_COMMAND and TIDEMILL_SECRETS_AWS_REGION is set on this executor"
)


def checked(name: str, value: bytes) -> str | SecretError:
    """The value as a variable can hold it: UTF-8 without NUL, at most `MAX_SECRET_BYTES`."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return SecretError(f"secret {name!r} is not UTF-8")
    if len(value) > MAX_SECRET_BYTES or "\0" in text:
        return SecretError(f"secret {name!r} is longer than {MAX_SECRET_BYTES} bytes, or contains NUL")
    return text
