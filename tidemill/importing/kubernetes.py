"""Reads CronJobs of Kubernetes (batch/v1): each becomes a job that runs the container's command, without the image.

The fields are those of https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/cron-job-v1/.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson
import yaml

from tidemill.importing.plan import Plan, PlannedJob, Rejected, planned
from tidemill.put import Columns
from tidemill.target import UsageError

OVERLAPS = {"Allow": "allow_all", "Forbid": "skip", "Replace": "cancel_other"}
DEFAULT_BACKOFF_LIMIT = 6
DEFAULT_GRACE_SECONDS = 30
FIRST_RETRY, LONGEST_RETRY = "10 seconds", "6 minutes"
"""The back-off of a Job."""
_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+)\s+(.*)")
_QUANTITY = re.compile(r"([0-9.]+)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_UNITS = {None: 1, "m": 0.001, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}

Table = Mapping[str, Any]


class _NoJobError(Exception):
    """The sentence says why the entry cannot become a job."""


def read_kubernetes(text: str, *, prefix: str = "") -> Plan:
    """The plan of a YAML or JSON file with any number of documents. What is no CronJob is left out.

    Raises `UsageError` if the file is not YAML.
    """
    try:
        documents = list(yaml.safe_load_all(text))
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"the file is not YAML: {' '.join(str(error).split())}") from error
    return planned(_entries(documents, prefix))


def _entries(documents: Iterable[Any], prefix: str) -> Iterator[PlannedJob | Rejected]:
    for number, document in enumerate(_listed(documents), start=1):
        if not isinstance(document, dict) or document.get("kind") != "CronJob":
            continue
        name = str(_in(document, "metadata").get("name") or f"document {number}")
        try:
            yield _job(document, f"CronJob {name}", name, prefix)
        except _NoJobError as error:
            yield Rejected(source=f"CronJob {name}", entry=name, why=str(error))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            why = f"it is no valid CronJob, {type(error).__name__}: {error}"
            yield Rejected(source=f"CronJob {name}", entry=name, why=why)


def _listed(documents: Iterable[Any]) -> Iterator[Any]:
    """`kubectl get cronjobs -o yaml` writes one List of them."""
    for document in documents:
        is_list = isinstance(document, dict) and str(document.get("kind", "")).endswith("List")
        yield from (document.get("items") or []) if is_list else [document]


def _job(document: Table, source: str, name: str, prefix: str) -> PlannedJob:
    namespace = _in(document, "metadata").get("namespace")
    spec, job = _in(document, "spec"), _in(document, "spec", "jobTemplate", "spec")
    pod = _in(job, "template", "spec")
    container = _only_container(pod)
    _refuse_many(job)
    env, notes = _env(container)
    image = container.get("image")
    if image:
        notes.append(f"the image {image} is not used: the command runs on the executor's machine")
    return PlannedJob(
        source=source,
        job_id=prefix + (f"{namespace}.{name}" if namespace else name),
        command=_command(container),
        columns={
            **_when(spec),
            **_tries(job),
            **_limits(container),
            "cancel_grace": f"{pod.get('terminationGracePeriodSeconds', DEFAULT_GRACE_SECONDS)} seconds",
            **({"env": orjson.dumps(env).decode()} if env else {}),
        },
        notes=tuple(notes),
    )


def _only_container(pod: Table) -> Table:
    containers = pod.get("containers") or []
    if not containers:
        raise _NoJobError("jobTemplate.spec.template.spec.containers is empty: there is no command to run")
    if len(containers) > 1 or pod.get("initContainers"):
        raise _NoJobError("its pod has several containers; a job has one program: make a DAG of them, or one script")
    container: Table = containers[0]
    return container


def _refuse_many(job: Table) -> None:
    for field in ("completions", "parallelism"):
        if (job.get(field) or 1) != 1:
            raise _NoJobError(f"{field} is {job[field]}; a run has one process: write a DAG with {job[field]} nodes")


def _command(container: Table) -> str:
    if not container.get("command"):
        raise _NoJobError(
            f"its container names no command, so it runs what the image {container.get('image')} says; "
            "a job runs no image: set command"
        )
    return shlex.join(str(each) for each in (*container["command"], *(container.get("args") or [])))


def _when(spec: Table) -> Columns:
    schedule, timezone = str(spec.get("schedule", "")), spec.get("timeZone") or "UTC"
    if found := _ZONE.fullmatch(schedule):
        timezone, schedule = found[1], found[2]
    policy = spec.get("concurrencyPolicy") or "Allow"
    if policy not in OVERLAPS:
        raise _NoJobError(f"concurrencyPolicy is {policy!r}; allowed are {', '.join(OVERLAPS)}")
    found_columns: Columns = {"schedule": schedule, "timezone": timezone, "overlap_policy": OVERLAPS[policy]}
    if spec.get("startingDeadlineSeconds") is not None:
        found_columns["start_deadline"] = f"{spec['startingDeadlineSeconds']} seconds"
    if spec.get("suspend"):
        found_columns |= {"paused": True, "paused_note": "suspended in Kubernetes"}
    return found_columns


def _tries(job: Table) -> Columns:
    limit = job.get("backoffLimit", DEFAULT_BACKOFF_LIMIT)
    if not isinstance(limit, int):
        raise _NoJobError(f"backoffLimit is {limit!r}; allowed is a number")
    found: Columns = {"max_attempts": limit + 1, "initial_interval": FIRST_RETRY, "max_interval": LONGEST_RETRY}
    if job.get("activeDeadlineSeconds") is not None:
        found["timeout"] = f"{job['activeDeadlineSeconds']} seconds"
    return found


def _limits(container: Table) -> Columns:
    limits = _in(container, "resources", "limits")
    names = {"memory": "memory", "ephemeral-storage": "disk"}
    found: Columns = {column: int(_amount(limits[name])) for name, column in names.items() if name in limits}
    return found | ({"cpu": _amount(limits["cpu"])} if "cpu" in limits else {})


def _amount(quantity: Any) -> float:
    found = _QUANTITY.fullmatch(str(quantity))
    if found is None:
        raise _NoJobError(f"the limit {quantity!r} is not a quantity such as 500m or 256Mi")
    return float(found[1]) * _UNITS[found[2]]


def _env(container: Table) -> tuple[dict[str, str], list[str]]:
    """The variables, and what has to be done for those that are not in the file."""
    env: dict[str, str] = {}
    notes: list[str] = []
    for each in container.get("env") or []:
        name, source = str(each["name"]), _in(each, "valueFrom")
        if secret := _in(source, "secretKeyRef"):
            file = f"{secret.get('name')}.{secret.get('key')}"
            env[name] = f"secret:{file}"
            notes.append(f"{name} is a secret: give executors the file {file} (docs/secrets.md)")
        elif source:
            notes.append(f"{name} comes from {', '.join(source)} and is left out: set it in the column env")
        else:
            env[name] = str(each.get("value", ""))
    if container.get("envFrom"):
        notes.append("envFrom is left out: set its variables in the column env")
    return env, notes


def _in(table: Table, *path: str) -> Table:
    """The table at a path, or an empty one."""
    for name in path:
        found = table.get(name)
        table = found if isinstance(found, dict) else {}
    return table
