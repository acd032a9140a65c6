"""Holds dashboards against the public schema of Grafana, as the types of grafana-foundation-sdk declare it."""

from __future__ import annotations

import enum
import json
import sys
import types
import typing
import warnings
from collections.abc import Iterator
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of classic dashboards, which all versions of Grafana read
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

UNIONS = {typing.Union, types.UnionType}
ANYTHING = {object, Any}


def unknown_fields(dashboard: dict[str, Any]) -> Iterator[str]:
    """A field that the schema does not know is lost on the way through its types."""
    yield from _lost(dashboard, json.loads(json.dumps(_typed(dashboard), cls=JSONEncoder)), "")


def wrong_values(dashboard: dict[str, Any]) -> Iterator[str]:
    """The types take every value as it is, so each is compared with what the type declares."""
    yield from _wrong_fields(_typed(dashboard), "")


def _typed(dashboard: dict[str, Any]) -> Dashboard:
    register_default_plugins()
    return Dashboard.from_json(dashboard)


def _lost(ours: Any, theirs: Any, path: str) -> Iterator[str]:
    """A null is the same as no field."""
    match ours:
        case dict():
            for key, value in ours.items():
                if value is not None:
                    yield from _lost(value, (theirs or {}).get(key), f"{path}.{key}")
        case list() if len(ours) == len(theirs or ()):
            for place, (one, other) in enumerate(zip(ours, theirs or (), strict=True)):
                yield from _lost(one, other, f"{path}[{place}]")
        case _ if ours != theirs:
            yield f"{path}: {ours!r} is {theirs!r}"


def _wrong_fields(value: Any, path: str) -> Iterator[str]:
    for name, hint in typing.get_type_hints(type(value), vars(sys.modules[type(value).__module__])).items():
        yield from _wrong(getattr(value, name), hint, f"{path}.{name}")


def _wrong(value: Any, hint: Any, path: str) -> Iterator[str]:
    kinds = typing.get_args(hint) if typing.get_origin(hint) in UNIONS else (hint,)
    if hasattr(value, "from_json"):  # also where the schema says `object`: the options of each kind of panel have types
        yield from _wrong_fields(value, path)
    elif ANYTHING & {each for each in kinds if isinstance(each, type) or each is Any}:
        return
    elif isinstance(value, list):
        of = [typing.get_args(each)[0] for each in kinds if typing.get_origin(each) is list]
        if not of:
            yield f"{path}: a list"
        for place, each in enumerate(value if of else ()):
            yield from _wrong(each, of[0], f"{path}[{place}]")
    elif not any(_fits(value, each) for each in kinds):
        yield f"{path}: {value!r}"


def _fits(value: Any, kind: Any) -> bool:
    if typing.get_origin(kind) is typing.Literal:
        return value in typing.get_args(kind)
    if not isinstance(kind, type):
        return typing.get_origin(kind) is dict and isinstance(value, dict)
    if issubclass(kind, enum.Enum):
        return value in {each.value for each in kind}
    return isinstance(value, (int, float) if kind is float else kind)
