"""Results of nodes: what their children get, and which children a node chooses."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from schemas.event import Ended
from schemas.result import MAX_GIVEN_BYTES, MAX_PASSED_BYTES, Result
from streams.core.dag.epoch import Epoch

MAX_RECORD_SHARE = 11 * 1024 * 1024
"""The most bytes that parents' results may take of a dispatch record. Of 16 MB, node ids take at most 4 MB, as in the
whole DAG; the rest is enough for the dispatch itself.
"""
MAX_NAMED = 10
_AROUND_VALUE, _AROUND_ADDRESS = 40, 160
"""The most bytes of an entry beside its value or address: size, checksum and their names."""


def passed_on(result: Result | None) -> Result | None:
    """The result as children get it: the value if it is small, otherwise only its address."""
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
    """The most bytes that the results take of a record, without the node ids."""
    if not results or not any(results.values()):
        return 0
    return sum(
        len(each.uri) + _AROUND_ADDRESS if each.uri else each.bytes + _AROUND_VALUE for each in results.values() if each
    )


def why_too_large(results: Mapping[str, Result | None] | None, size: int) -> str | None:
    """Why the results are too large for a node, as a sentence; `size` comes from `record_bytes`."""
    if not results or not size:
        return None
    given = sum(each.bytes for each in results.values() if each)
    if given > MAX_GIVEN_BYTES:
        return f"the results of its dependencies have {given} bytes; at most {MAX_GIVEN_BYTES} are allowed"
    if size > MAX_RECORD_SHARE:
        return (
            f"the results of its dependencies, or their addresses, have {size} bytes; "
            f"at most {MAX_RECORD_SHARE} fit the record that starts it"
        )
    return None


def is_short_circuit(epoch: Epoch, node_id: str, exit_code: int | None) -> bool:
    """Whether the exit code means that no dependent node runs."""
    return exit_code in epoch.graph.dag.nodes[epoch.graph.index[node_id]].skip_exit_codes


def wrong_choice(epoch: Epoch, node_id: str, event: Ended) -> str | None:
    """What is wrong with the next nodes that a result names, as a sentence."""
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
