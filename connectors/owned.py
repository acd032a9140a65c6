"""Computes the corrected configuration of the connector: it replaces only our own options.

Options that an operator added stay, and so do references to secrets that an operator set instead of values
(decision 35).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

Config: TypeAlias = dict[str, str]
"""A connector's configuration in Connect's REST interface."""

REVISION_KEY = "tidemill.revision"
"""An option that Debezium ignores."""
REVISION = 4
"""The revision of the options that this release writes. Increment it when they change; a test checks that."""
OPTIONS_KEY = "tidemill.options"
"""Its value names all options that we wrote: those that we no longer write are removed, an operator's own stay."""
_REFERENCE = re.compile(r"\$\{[^:}]*:[^}]*\}")
"""`${provider:path:key}`: Connect asks a config provider for the value when it starts a task."""


def is_reference(value: str) -> bool:
    return _REFERENCE.search(value) is not None


def revision(config: Mapping[str, str]) -> int:
    """The revision of a configuration; 0 if a release without revisions or an operator wrote it."""
    found = config.get(REVISION_KEY, "")
    return int(found) if found.isdecimal() else 0


def marked(options: Config) -> Config:
    """The options, with `OPTIONS_KEY` added."""
    return options | {OPTIONS_KEY: ",".join(sorted(options))}


def corrected(actual: Config, desired: Config) -> Config:
    """The configuration that Connect should have; it is `actual` if that is correct, or from a newer release."""
    if revision(actual) > revision(desired):
        return actual
    ours = desired.keys() | set(actual.get(OPTIONS_KEY, "").split(","))
    others = {name: value for name, value in actual.items() if name not in ours}
    references = {name: value for name, value in actual.items() if name in desired and is_reference(value)}
    hidden = {name: value for name, value in references.items() if not is_reference(desired[name])}
    return others | desired | hidden
