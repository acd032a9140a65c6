"""Unreferenced objects are deleted from a real S3; fresh ones are not."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from connectors.objects import Objects
from connectors.retention import prune
from connectors.settings import RetentionSettings
from connectors.stopping import Stop
from schemas.programs import program_key
from tests.support.read_model_rows import allow_writes
from tidemill.objects import storing

TODAY = datetime.now(UTC).date()  # noqa: TID251 - times to live go by the clock of Postgres
SETTINGS = RetentionSettings()


@pytest.fixture
def postgres(tables_dsn):
    with psycopg.connect(tables_dsn, autocommit=True, options="-c TimeZone=UTC -c tidemill.sink=on") as connection:
        yield connection


def objects(store, place, prefix):
    return list(store.below(f"s3://{place.s3_bucket}/{prefix}"))


def program(store, content):
    key = program_key("executables", hashlib.sha256(content.encode()).hexdigest())
    return store.put(key, content.encode())


def age(monkeypatch, by):
    """Makes objects look older, as S3 cannot set their time."""
    dated = Objects.dated
    monkeypatch.setattr(
        Objects, "dated", lambda self, *where: ((uri, at - by) for uri, at in dated(self, *where)), raising=True
    )


def test_unreferenced_programs_are_deleted_once_they_are_old(place, postgres, store, monkeypatch):
    uris = {each: program(store, each) for each in ("job", "before", "node", "deleted", "nothing")}
    others = [store.put("executables/of-somebody", b"x"), store.put("commands/" + "0" * 63, b"x")]
    put = "insert into tidemill.jobs (job_id, executable) values (%s, %s)"
    postgres.execute(put, ("j", uris["before"]))
    postgres.execute("update tidemill.jobs set executable = %s", (uris["job"],))
    postgres.execute(put, ("gone", uris["deleted"]))
    postgres.execute("delete from tidemill.jobs where job_id = 'gone'")
    with postgres.transaction():
        postgres.execute("insert into tidemill.dags (dag_id) values ('d')")
        node = "insert into tidemill.dag_nodes (dag_id, node_id, executable) values (%s, %s, %s)"
        postgres.execute(node, ("d", "n", uris["node"]))
    assert prune(place, SETTINGS, Stop()).programs == 0
    age(monkeypatch, timedelta(days=8))
    done = prune(place, SETTINGS, Stop())
    assert (done.programs, done.left) == (1, [])
    kept = {*uris.values(), *others} - {uris["nothing"]}
    assert {*objects(store, place, "executables"), *objects(store, place, "commands")} == kept
    postgres.execute("update tidemill.heartbeat set at = clock_timestamp() + interval '200 d'")
    postgres.execute("select set_config('tidemill.pruning', 'on', false)")
    postgres.execute(
        "delete from tidemill.definitions where owner = 'gone' or version < (select version from tidemill.jobs)"
    )
    assert prune(place, SETTINGS, Stop()).programs == 2
    assert set(objects(store, place, "executables")) == {uris["job"], uris["node"], others[0]}


def test_no_program_is_deleted_during_an_upload_or_an_open_run_without_definition(place, postgres, store, monkeypatch):
    uri = program(store, "x")
    age(monkeypatch, timedelta(days=8))
    with storing(place):
        assert prune(place, SETTINGS, Stop()).programs == 0
    allow_writes(postgres, [TODAY])
    postgres.execute(
        """insert into tidemill.runs
               (run_id, job_id, tenant, kind, nominal_time, scheduled_time, state, attempt, version)
           values ('j@1', 'j', 'default', 'scheduled', now(), now(), 'retry_wait', 1, 7)"""
    )
    done = prune(place, SETTINGS, Stop())
    assert done.programs == 0
    assert done.left == ["no program is deleted: run j@1 is open, and its definition is not kept any more"]
    postgres.execute("insert into tidemill.jobs (job_id, executable) values (%s, %s)", ("j", "s3://tidemill/x"))
    assert prune(place, SETTINGS, Stop()).programs == 1
    assert objects(store, place, "executables") == []
    assert uri.startswith("s3://")


def test_no_program_is_deleted_between_a_restore_and_its_repair(place, postgres, store, monkeypatch):
    program(store, "x")
    age(monkeypatch, timedelta(days=8))
    postgres.execute("insert into tidemill.restored (given, applied) values (1, 2)")
    done = prune(place, SETTINGS, Stop())
    assert done.programs == 0
    assert done.left == ["no program is deleted: the tables were restored, and `tidemill restored` has not been run"]
    postgres.execute("select set_config('tidemill.keeping', 'on', false)")
    postgres.execute("delete from tidemill.restored")
    assert prune(place, SETTINGS, Stop()).programs == 1


def test_no_program_is_deleted_from_a_bucket_shared_with_another_deployment(place, postgres, store, monkeypatch):
    program(store, "x")
    age(monkeypatch, timedelta(days=8))
    mark = store.put("deployments/of-somebody-else.tidemill.", b"")
    done = prune(place, SETTINGS, Stop())
    assert done.programs == 0
    assert done.left == [
        f"no program is deleted: another deployment has marked the bucket; if it is gone, delete {mark}"
    ]
    store.delete([mark])
    assert prune(place, SETTINGS, Stop()).programs == 1


def test_more_objects_are_deleted_than_one_s3_request_can(store, place, monkeypatch):
    monkeypatch.setattr("connectors.objects.DELETED_AT_ONCE", 3)
    uris = [store.put(f"some/{number} of ä&<", b"x") for number in range(8)]
    assert store.delete([*uris, f"s3://{place.s3_bucket}/some/never-there"]) == {}
    assert objects(store, place, "some") == []
