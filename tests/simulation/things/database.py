"""The tables that users write, as the streams see them: `definitions` and `requests`, in order of commits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import orjson

from schemas.codec import encode
from schemas.dag import DagSpec
from schemas.job import JobSpec
from tests.simulation.things.world import World


class DefinitionRow(msgspec.Struct, frozen=True, kw_only=True):
    owner: str
    version: int
    valid_from: datetime
    spec: JobSpec | DagSpec | None
    """None: deleted."""


class RequestRow(msgspec.Struct, frozen=True, kw_only=True):
    owner: str
    request_id: str
    at: datetime
    fields: dict[str, Any]
    door: str
    """`table` or `topic`."""

    @property
    def kind(self) -> str:
        return str(self.fields.get("kind", "run"))


class Database:
    def __init__(self, world: World) -> None:
        self._world = world
        self.definitions: list[DefinitionRow] = []
        self.requests: list[RequestRow] = []
        self.captured: list[tuple[str, bytes, object]] = []
        """(owner, row as the connector writes it, the row), in the order of commits."""
        self.on_commit: list[Callable[[], None]] = []
        self.current: dict[str, JobSpec | DagSpec] = {}
        """By owner: the row of `jobs` or `dags`."""

    def define(self, spec: JobSpec | DagSpec) -> None:
        owner = spec.job_id if isinstance(spec, JobSpec) else spec.dag_id
        self.current[owner] = spec
        self._add_version(owner, spec)

    def edit(self, owner: str, **changes: Any) -> None:
        known = self.current.get(owner)
        if known is not None:
            self.define(msgspec.structs.replace(known, **changes))

    def delete(self, owner: str) -> None:
        if self.current.pop(owner, None) is not None:
            self._add_version(owner, None)

    def request(self, owner: str, request_id: str, **fields: Any) -> None:
        at = self._now()
        row = {
            "__table": "requests",
            "request_id": request_id,
            "kind": "run",
            "owner": owner,
            "job_id": owner,
            "created_at": at.isoformat(),
            **fields,
        }
        known = RequestRow(owner=owner, request_id=request_id, at=at, fields=fields, door="table")
        self.requests.append(known)
        self._world.note(
            "a user", f"asks for {fields.get('kind', 'run')} of {fields.get('run_id', owner)}: {request_id}"
        )
        self._commit(owner, row, known)

    def _add_version(self, owner: str, spec: JobSpec | DagSpec | None) -> None:
        version = len(self.definitions) + 1
        at = self._now()
        is_dag = isinstance(spec, DagSpec) or (spec is None and self._was_dag(owner))
        row = {
            "__table": "definitions",
            "owner": owner,
            "kind": "dag" if is_dag else "job",
            "version": version,
            "valid_from": at.isoformat(),
            "deleted": spec is None,
            "spec": None if spec is None else encode(spec).decode(),
        }
        known = DefinitionRow(owner=owner, version=version, valid_from=at, spec=spec)
        self.definitions.append(known)
        self._world.note("a user", f"writes version {version} of {owner}: {_shown(spec)}")
        self._commit(owner, row, known)

    def _commit(self, owner: str, row: dict[str, Any], known: object) -> None:
        self.captured.append((owner, orjson.dumps(row), known))
        for each in self.on_commit:
            each()

    def _was_dag(self, owner: str) -> bool:
        return any(isinstance(each.spec, DagSpec) for each in self.definitions if each.owner == owner)

    def _now(self) -> datetime:
        at = self._world.time()
        return at - timedelta(microseconds=at.microsecond % 1000)


def _shown(spec: JobSpec | DagSpec | None) -> str:
    if spec is None:
        return "deleted"
    said = [f"schedule {spec.schedule}"] + (["paused"] if spec.paused else [])
    if isinstance(spec, DagSpec):
        said.append("nodes " + ", ".join(each.node_id for each in spec.nodes))
    return ", ".join(said)
