"""Masks secrets in JSON, which stays JSON."""

from __future__ import annotations

import json
import re

import msgspec

from executors.secrets.masking import Masker

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[^\s"{}\[\],:]+')


def mask_json(masker: Masker, value: msgspec.Raw) -> msgspec.Raw:
    """Masks strings and numbers. If a secret spans several of them, the mask takes the place of the whole value."""
    before = bytes(value)
    if masker.mask_bytes(before) == before and not _has_escapes(before):
        return value
    after = _TOKEN.sub(lambda found: _masked(masker, found[0]), before)
    if masker.mask_bytes(after) != after:
        after = _written(masker.mask.decode("utf-8", "replace"))
    return value if after == before else msgspec.Raw(after)


def _has_escapes(data: bytes) -> bool:
    r"""An escape such as \u0061 may hide a secret from a search in the bytes."""
    return b"\\" in data


def _masked(masker: Masker, token: bytes) -> bytes:
    if not token.startswith(b'"'):
        masked = masker.mask_bytes(token)
        return token if masked == token else _written(masked.decode("utf-8", "replace"))
    text = json.loads(token)
    masked_text = masker.mask_text(text)
    return token if masked_text == text else _written(masked_text)


def _written(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()
