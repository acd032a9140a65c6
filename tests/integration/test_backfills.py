"""Backfills on the real stack: past occurrences run once, and again only on request."""

from __future__ import annotations

import orjson
import pytest

from tidemill.cli import run as tidemill

pytestmark = pytest.mark.integration

BEGIN, END = "2026-03-29T00:30:00Z", "2026-03-29T04:30:00Z"
"""The end is exclusive. Berlin's clock goes forward on that morning, which does not affect an hourly job."""


@pytest.fixture
def job(stack, name, journal):
    """A paused job; its run of 02:30 UTC fails at the first attempt."""
    script = (
        f'echo "$TIDEMILL_NOMINAL_TIME $TIDEMILL_ATTEMPT" >> {journal}\n'
        '[ "$TIDEMILL_NOMINAL_TIME$TIDEMILL_ATTEMPT" != 2026-03-29T02:30:00.000Z1 ]'
    )
    executable = stack.put_script(name, script)
    stack.put_job(name, executable, schedule="30 * * * *", timezone="Europe/Berlin", paused=True)
    return name


def ask(stack, capfd, job, *options):
    """A function that requests a backfill; it returns the exit code and the JSON output."""
    code = tidemill(
        ["backfill", job, "--from", BEGIN, "--to", END, *options, "--json", "--data", str(stack.data)],
    )
    return code, orjson.loads(capfd.readouterr().out)


def test_a_backfill_runs_a_past_range_once_and_reruns_only_failures(stack, job, journal, capfd):
    code, planned = ask(stack, capfd, job, "--dry-run")
    assert (code, [each["runs"] for each in planned]) == (0, ["yes"] * 4)
    code, ended = ask(stack, capfd, job, "--wait")
    assert (code, ended["state"], ended["reason"]) == (1, "failed", "1 of 4 runs did not succeed")
    assert journal.read_text().split("\n")[:-1] == [f"2026-03-29T0{hour}:30:00.000Z 1" for hour in range(4)]

    code, ended = ask(stack, capfd, job, "--reprocess", "failed", "--backwards", "--max-active", "3", "--wait")
    assert (code, ended["reason"]) == (0, "all 1 runs succeeded")
    assert journal.read_text().split("\n")[4:-1] == ["2026-03-29T02:30:00.000Z 2"]
    run = stack.run(f"{job}@2026-03-29T02:30:00Z")
    assert (run["kind"], run["state"], run["attempt"], run["rerun_id"]) == (
        "backfilled",
        "succeeded",
        2,
        ended["request_id"],
    )
    found = stack.rows("select * from backfills where job_id = %s order by queued_at", [job])
    assert [(each["runs"], each["succeeded"]) for each in found] == [(3, 3), (1, 1)]
    code, ended = ask(stack, capfd, job, "--wait")
    assert (code, ended["reason"]) == (0, "nothing to run: 4 occurrences are left alone")


def test_a_backfill_is_cancelled_by_its_run(stack, name, capfd):
    stack.put_job(name, stack.put_script(name, "sleep 60"), schedule="30 * * * *", cancel_grace="1 s")
    code, asked = ask(stack, capfd, name, "--max-active", "2")
    assert code == 0
    stack.wait_for_state(f"{name}@2026-03-29T00:30:00Z", "running")
    assert tidemill(["cancel", asked["run_id"], "--wait", "--data", str(stack.data)]) == 0
    capfd.readouterr()
    states = [each["state"] for each in stack.rows("select state from runs where job_id = %s", [name])]
    assert states == ["cancelled"] * 5


def test_a_dag_is_backfilled_by_dag_runs_and_a_failed_one_is_rerun(stack, name, journal, capfd):
    note = f'echo "$TIDEMILL_RUN_ID $TIDEMILL_ATTEMPT" >> {journal}\n'
    scripts = {"a": note, "b": note + 'case "$TIDEMILL_RUN_ID $TIDEMILL_ATTEMPT" in *T02:30*1) exit 3; esac'}
    with stack.database.transaction():
        stack.insert("dags", dag_id=name, schedule="30 * * * *", timezone="Europe/Berlin", paused=True)
        for node_id, script in scripts.items():
            needed = [] if node_id == "a" else ["a"]
            executable = stack.put_script(f"{name}{node_id}", script)
            stack.insert("dag_nodes", dag_id=name, node_id=node_id, depends_on=needed, executable=executable)
    code, planned = ask(stack, capfd, name, "--dry-run")
    assert (code, [each["runs"] for each in planned]) == (0, ["yes"] * 4)
    code, ended = ask(stack, capfd, name, "--backwards", "--wait")
    assert (code, ended["reason"]) == (1, "1 of 4 runs did not succeed")
    times = [f"{name}@2026-03-29T0{hour}:30:00Z" for hour in (3, 2, 1, 0)]
    assert journal.read_text().split("\n")[:-1] == [f"{time}/{node_id} 1" for time in times for node_id in "ab"]

    stack.wait_for_state(f"{times[1]}/b", "failed")
    code, ended = ask(stack, capfd, name, "--reprocess", "failed", "--wait")
    assert (code, ended["reason"]) == (0, "all 1 runs succeeded")
    assert journal.read_text().split("\n")[8:-1] == [f"{times[1]}/{node_id} 2" for node_id in "ab"]
    epochs = stack.rows("select * from dag_runs where dag_id = %s order by nominal_time desc", [name])
    assert [(each["run_id"], each["state"]) for each in epochs] == [(time, "succeeded") for time in times]
