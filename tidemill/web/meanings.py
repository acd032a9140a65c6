"""What each code of a problem means and what to do: the sentences beside the codes in `schemas/reasons.py`."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from enum import Enum
from functools import cache
from itertools import pairwise


@cache
def meanings(enum: type[Enum]) -> Mapping[str, str]:
    """The text under each member, by the member's value."""
    (made,) = ast.parse(inspect.getsource(enum)).body
    assert isinstance(made, ast.ClassDef)
    return {
        enum[name].value: " ".join(text.split())
        for before, after in pairwise(made.body)
        if (name := _name(before)) in enum.__members__ and (text := _text(after))
    }


def _name(statement: ast.stmt) -> str:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name
        case _:
            return ""


def _text(statement: ast.stmt) -> str:
    match statement:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return text
        case _:
            return ""
