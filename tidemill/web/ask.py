"""A request as a value: what the path, the query, the form and the reader's cookies say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlencode

import msgspec

Fields = Mapping[str, tuple[str, ...]]
"""Each name with its values, without empty ones."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    """Still percent-encoded."""
    parts: Mapping[str, str]
    """The variable segments of the path, decoded: `{run_id}` of a route."""
    query: Fields
    form: Fields
    """Empty for GET."""
    timezone: str
    """The reader's time zone, from a cookie; otherwise UTC."""
    now: datetime
    is_secure: bool = False
    grafana: str | None = None
    """The address of Grafana, if pages link to it."""

    def one(self, name: str) -> str | None:
        """The first value of a query parameter."""
        return next(iter(self.query.get(name, ())), None)

    def field(self, name: str) -> str | None:
        """The first value of a form's field."""
        return next(iter(self.form.get(name, ())), None)

    def url(self, **changes: str | None) -> str:
        """The page's own address with other query parameters; None removes one."""
        kept = {name: values for name, values in self.query.items() if name not in changes}
        changed = {name: (value,) for name, value in changes.items() if value}
        text = urlencode(list((kept | changed).items()), doseq=True)
        return f"{self.path}?{text}" if text else self.path


def fields(pairs: list[tuple[str, str]]) -> Fields:
    """Group pairs by name; values without content are left out, as an untouched form sends them."""
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        if value.strip():
            found.setdefault(name, []).append(value.strip())
    return {name: tuple(values) for name, values in found.items()}
