"""What nothing names any more goes from a real S3, and what has only just been stored does not."""

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
from tests.support.read_model_rows import open_weeks
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
    """Objects were stored so much earlier: nobody can tell S3 that."""
    dated = Objects.dated
    monkeypatch.setattr(
        Objects, "dated", lambda self, *where: ((uri, at - by) for uri, at in dated(self, *where)), raising=True
    )


def test_programs_that_nothing_names_any_more_go_once_they_are_old(place, postgres, store, monkeypatch):
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


def test_no_program_goes_while_one_is_stored_or_a_run_is_open_whose_definition_is_gone(
    place, postgres, store, monkeypatch
):
    uri = program(store, "x")
    age(monkeypatch, timedelta(days=8))
    with storing(place):
        assert prune(place, SETTINGS, Stop()).programs == 0
    open_weeks(postgres, [TODAY])
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


def test_no_program_goes_between_a_restore_of_the_tables_and_its_healing(place, postgres, store, monkeypatch):
    program(store, "x")
    age(monkeypatch, timedelta(days=8))
    postgres.execute("insert into tidemill.restored (given, applied) values (1, 2)")
    done = prune(place, SETTINGS, Stop())
    assert done.programs == 0
    assert done.left == ["no program is deleted: the tables were restored, and `tidemill restored` has not been run"]
    postgres.execute("select set_config('tidemill.keeping', 'on', false)")
    postgres.execute("delete from tidemill.restored")
    assert prune(place, SETTINGS, Stop()).programs == 1


def test_no_program_goes_from_a_bucket_that_another_deployment_uses_too(place, postgres, store, monkeypatch):
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


def test_more_objects_go_than_s3_deletes_at_once(store, place, monkeypatch):
    monkeypatch.setattr("connectors.objects.DELETED_AT_ONCE", 3)
    uris = [store.put(f"some/{number} of ä&<", b"x") for number in range(8)]
    assert store.delete([*uris, f"s3://{place.s3_bucket}/some/never-there"]) == {}
    assert objects(store, place, "some") == []
