"""Postgres is restored from a backup and Kafka is not: this is detected, reported, and repaired by one command."""

from __future__ import annotations

from datetime import datetime

import orjson
import pytest

from tests.support.restorable_stack import RestorableStack
from tests.support.waiting import eventually

EVERY_SECOND = "* * * * * *"
NOTICED_SECONDS = 60
HEALED_SECONDS = 60
EDITS = 20
"""Versions of each job after the backup, which only the streams know."""


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    made = RestorableStack(tmp_path_factory.mktemp("restored"))
    yield made
    made.stop()


def program(client, name):
    return client.put_script(name, "true")


def put_dag(client, node):
    with client.database.transaction():
        client.database.execute(
            "insert into dags (dag_id, schedule) values ('etl', %s) on conflict do nothing", [EVERY_SECOND]
        )
        client.database.execute("delete from dag_nodes where dag_id = 'etl'")
        client.insert("dag_nodes", dag_id="etl", node_id=node, depends_on=[], executable=program(client, node))


def newest_run(client, job_id) -> datetime | None:
    (row,) = client.rows("select max(nominal_time) as at from runs where job_id = %s", [job_id])
    return row["at"]


def runs_on(client, job_id) -> bool:
    """Whether a run comes after the present ones."""
    before = newest_run(client, job_id)
    return bool(eventually(lambda: newest_run(client, job_id) != before, what=f"a run of {job_id}"))


def rests(client, job_id) -> bool:
    """Whether another job's occurrences have run since, and none of this job's."""
    (row,) = client.rows(
        """
        select max(nominal_time) < (select max(nominal_time) from runs where job_id = 'kept') - interval '5 s' as rests
        from runs where job_id = %s
        """,
        [job_id],
    )
    return bool(row["rests"])


def doctor(deployment, capsys):
    capsys.readouterr()
    deployment.tidemill("doctor", "--no-probe", "--json")
    return {each["name"]: each for each in orjson.loads(capsys.readouterr().out)["findings"]}


def before_the_backup(client):
    for job in ("kept", "edited", "paused", "deleted"):
        client.put_job(job, program(client, job), schedule=EVERY_SECOND)
    put_dag(client, "first")
    for job in ("kept", "edited", "paused", "deleted", "etl"):
        runs_on(client, job)


def after_the_backup(client):
    """Changes after the backup: the database loses them, the streams do not."""
    for number in range(EDITS):
        for job in ("edited", "paused", "deleted"):
            client.edit_job(job, args=[str(number)])
        put_dag(client, f"node-{number}")
    client.put_job("lost", program(client, "lost"), schedule=EVERY_SECOND)
    runs_on(client, "lost")


def after_the_restore(client):
    """Changes after the restore, made by users of the restored tables."""
    client.edit_job("edited", timeout_class="1m")
    client.edit_job("paused", paused=True)
    client.delete_job("deleted")
    put_dag(client, "restored")


@pytest.fixture(scope="module")
def restored(deployment):
    before_the_backup(deployment.client)
    deployment.back_up()
    after_the_backup(deployment.client)
    deployment.restore()
    return deployment


def test_a_restore_is_detected_and_reported_within_a_minute(restored, capsys):
    said = "select from problems where code = 'database_restored'"
    eventually(lambda: restored.client.rows(said), NOTICED_SECONDS, "the problem that says it")
    assert doctor(restored, capsys)["history.restored"]["level"] == "bad"


def test_one_command_makes_the_tables_authoritative_again(restored, capsys):
    client = restored.client
    after_the_restore(client)
    assert restored.tidemill("restored") == 0
    edit = "select from runs where job_id = 'edited' and timeout_class = '1m'"
    eventually(lambda: client.rows(edit), HEALED_SECONDS, "a run by the edit")
    for job in ("paused", "deleted", "lost"):
        eventually(lambda job=job: rests(client, job), HEALED_SECONDS, f"the end of {job}")
    node = "select from runs where dag_id = 'etl' and node_id = 'restored' and state = 'succeeded'"
    eventually(lambda: client.rows(node), HEALED_SECONDS, "a node of the DAG as it is now")
    assert runs_on(client, "kept")
    assert doctor(restored, capsys)["history.restored"]["level"] == "ok"


def test_after_the_healing_changes_take_effect_as_usual(restored):
    client = restored.client
    client.put_job("new", program(client, "new"), schedule=EVERY_SECOND)
    assert runs_on(client, "new")
    client.edit_job("new", paused=True)
    eventually(lambda: rests(client, "new"), HEALED_SECONDS, "the pause")
    assert restored.tidemill("restored") == 1, "nothing is left to heal"
