"""Which part of the connector's configuration is ours, and what has to be written so that it is as desired.

An operator's own options stay, and so do the references to secrets that an operator has put in the place of values
(decision 35).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

Config: TypeAlias = dict[str, str]
"""A connector's configuration, as Connect takes it and gives it back."""

REVISION_KEY = "tidemill.revision"
"""An option that Debezium does not know and passes by."""
REVISION = 3
"""Of the options that this release writes. Raise it with every change of them; a test says when."""
OPTIONS_KEY = "tidemill.options"
"""Names every option that we wrote: one that we no longer write goes, and an operator's own stays."""
_REFERENCE = re.compile(r"\$\{[^:}]*:[^}]*\}")
"""`${provider:path:key}`: Connect asks a config provider for the value when it starts a task."""


def is_reference(value: str) -> bool:
    return _REFERENCE.search(value) is not None


def revision(config: Mapping[str, str]) -> int:
    """0: the configuration was written by a release without revisions, or by hand."""
    found = config.get(REVISION_KEY, "")
    return int(found) if found.isdecimal() else 0


def marked(options: Config) -> Config:
    """With the names of these options beside them."""
    return options | {OPTIONS_KEY: ",".join(sorted(options))}


def corrected(actual: Config, desired: Config) -> Config:
    """The configuration that Connect should have: `actual` itself where it is right, or of a newer release."""
    if revision(actual) > revision(desired):
        return actual
    ours = desired.keys() | set(actual.get(OPTIONS_KEY, "").split(","))
    others = {name: value for name, value in actual.items() if name not in ours}
    references = {name: value for name, value in actual.items() if name in desired and is_reference(value)}
    hidden = {name: value for name, value in references.items() if not is_reference(desired[name])}
    return others | desired | hidden
