"""What nodes hand on: which of their results their children get, and which of their children are followed."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from schemas.event import Ended
from schemas.result import MAX_GIVEN_BYTES, MAX_PASSED_BYTES, Result
from streams.core.dag.epoch import Epoch

MAX_RECORD_SHARE = 11 * 1024 * 1024
"""Of a dispatch for what its node gets of others; their ids have at most 4 MB, as the whole DAG has, and the rest of
16 MB is more than the dispatch itself may need.
"""
MAX_NAMED = 10
_AROUND_VALUE, _AROUND_ADDRESS = 40, 160
"""Beside its value or address, an entry has at most so many bytes: a size, perhaps a checksum, and their names."""


def passed_on(result: Result | None) -> Result | None:
    """As others get it: a value if it is small, else where it lies."""
    if result is None or (result.uri is None and result.bytes <= MAX_PASSED_BYTES):
        return result
    return msgspec.structs.replace(result, value=None)


def results_for(epoch: Epoch, node_id: str) -> dict[str, Result | None] | None:
    graph = epoch.graph
    needed = graph.dag.nodes[graph.index[node_id]].depends_on
    if not needed:
        return None
    passed, index = epoch.passed, graph.index
    return {each: passed.get(index[each]) for each in needed} if passed else dict.fromkeys(needed)


def record_bytes(results: Mapping[str, Result | None] | None) -> int:
    """What they take of a record, at most, beside the ids."""
    if not results or not any(results.values()):
        return 0
    return sum(
        len(each.uri) + _AROUND_ADDRESS if each.uri else each.bytes + _AROUND_VALUE for each in results.values() if each
    )


def why_too_large(results: Mapping[str, Result | None] | None, size: int) -> str | None:
    """Why a node cannot get them, as a sentence; `size` is what they take of a record."""
    if not results or not size:
        return None
    given = sum(each.bytes for each in results.values() if each)
    if given > MAX_GIVEN_BYTES:
        return f"the results of those that it depends on have {given} bytes; at most {MAX_GIVEN_BYTES} are allowed"
    if size > MAX_RECORD_SHARE:
        return (
            f"the results of those that it depends on, or where they lie, have {size} bytes; "
            f"at most {MAX_RECORD_SHARE} fit the record that starts it"
        )
    return None


def is_short_circuit(epoch: Epoch, node_id: str, exit_code: int | None) -> bool:
    """Whether the node says by its exit code that nothing is to follow."""
    return exit_code in epoch.graph.dag.nodes[epoch.graph.index[node_id]].skip_exit_codes


def wrong_choice(epoch: Epoch, node_id: str, event: Ended) -> str | None:
    """What is wrong with the nodes that a result names, as a sentence."""
    if not event.next_nodes:
        return None
    graph = epoch.graph
    children = graph.children[graph.index[node_id]]
    allowed = set(children)
    for named in event.next_nodes:
        if graph.index.get(named) not in allowed:
            return f"its result names {named!r} as what follows it; allowed are {_some(epoch, children)}"
    return None


def _some(epoch: Epoch, children: tuple[int, ...]) -> str:
    names = [epoch.graph.dag.nodes[each].node_id for each in children[:MAX_NAMED]]
    more = f" and {len(children) - MAX_NAMED} more" if len(children) > MAX_NAMED else ""
    return f"the nodes that depend on it: {', '.join(names)}{more}" if names else "none: no node depends on it"
