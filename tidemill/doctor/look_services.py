"""Looks at Connect, at S3 (writes and deletes an object), and at the processes of a local stack."""

from __future__ import annotations

import secrets
from pathlib import Path

from connectors import connect_api
from connectors.apply import observe
from connectors.objects import Objects, ObjectsError
from connectors.primary import find_primary
from connectors.settings import SourceSettings
from connectors.source import source_config
from infra import stack
from schemas.errors import TidemillError
from schemas.settings import Connections, read
from tidemill.doctor.facts import S3, Connect, Process, Processes, Silent, silent

FOLDER = "doctor"
"""The doctor's folder in the bucket."""
DEBEZIUM = "io.debezium.connector.postgresql.PostgresConnector"


def look_connect(target: Connections) -> Connect | Silent:
    desired = source_config(target, read(SourceSettings), find_primary(target.postgres_dsn) or 0)
    try:
        version, cluster_id = connect_api.get_version(target.connect_url)
        return Connect(
            version=version,
            cluster_id=cluster_id,
            debezium=connect_api.get_plugins(target.connect_url).get(DEBEZIUM),
            connector=observe(target, desired),
            desired=desired,
        )
    except TidemillError as error:
        return silent(error)


def look_s3(target: Connections) -> S3:
    where = target.s3_endpoint or target.s3_region
    try:
        objects = Objects(target)
        uri = objects.put(f"{FOLDER}/check-{secrets.token_hex(8)}", b"tidemill")
        objects.read(uri)
        kept = objects.delete([uri])
    except ObjectsError as error:
        return S3(where=where, bucket=target.s3_bucket, refused=str(error))
    return S3(where=where, bucket=target.s3_bucket, refused=f"{uri} cannot be deleted: {kept[uri]}" if kept else None)


def look_processes(data: Path) -> Processes:
    found = stack.status(data)
    if found is None:
        return ()
    return tuple(
        Process(name=each["name"], state=each["state"], log=str(data / "logs" / f"{each['name']}.log"))
        for each in found.processes
    )
