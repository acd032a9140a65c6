"""An entry of a real Celery app's beat schedule becomes a job that executes the task."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tidemill.importing.celery import read_celery
from tidemill.target import UsageError

APP = """
from datetime import timedelta
from celery import Celery
from celery.schedules import BaseSchedule, crontab

print("a module may print")
app = Celery("proj", broker="memory://")
app.conf.timezone = "Europe/Berlin"

class Moon(BaseSchedule):
    def __repr__(self):
        return "<moon>"

@app.task(name="add")
def add(x, y=0):
    if y < 0:
        raise ValueError(y)
    print(x, "+", y)

def entry(schedule, *args, **others):
    return {"task": "add", "schedule": schedule, "args": args, **others}

app.conf.beat_schedule = {
    "seconds": entry(30.0, "it's", kwargs={"y": 2}),
    "delta": entry(timedelta(hours=36), 1, -1),
    "odd": entry(1.5, 1),
    "cron": entry(crontab(minute="*/15", hour="7, 9", day_of_week="mon-fri"), 1, options={"queue": "slow"}),
    "moon": entry(Moon(app=app), 1),
    "both": entry(crontab(day_of_month="13", day_of_week="fri"), 1),
    "object": entry(10, object()),
    "fast": entry(0.1, 1),
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("celery")
    (made / "proj_of_a_test.py").write_text(APP)
    (made / "empty_of_a_test.py").write_text("")
    (made / "broken_of_a_test.py").write_text("1 / 0")
    return made


@pytest.fixture
def read(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return lambda name, python=sys.executable: read_celery(name, python=python)


@pytest.fixture
def plan(read):
    return read("proj_of_a_test")


def test_intervals_and_crontabs_become_schedules_in_the_zone_of_the_app(plan):
    assert {each.job_id: each.columns["schedule"] for each in plan.jobs} == {
        "seconds": "@every 30s",
        "delta": "@every 36h",
        "odd": "@every 1.5s",
        "cron": "*/15 7,9 * * mon-fri",
    }
    assert {each.columns["timezone"] for each in plan.jobs} == {"Europe/Berlin"}


@pytest.mark.parametrize(("job_id", "code", "output"), [("seconds", 0, "it's + 2"), ("delta", 1, "")])
def test_the_command_executes_the_task_and_fails_if_the_task_does(plan, folder, job_id, code, output):
    (job,) = [each for each in plan.jobs if each.job_id == job_id]
    command = job.command.replace("python3", sys.executable)
    done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert done.stdout == f"a module may print\n{output}\n" if output else "ValueError: -1" in done.stderr


def test_what_becomes_no_job_says_why(plan):
    assert [(each.source, each.why.split(":")[0]) for each in plan.rejected] == [
        ("entry moon", "its schedule <moon> is neither an interval nor a crontab"),
        ("entry both", "it restricts the day of the month and the day of the week"),
        ("entry object", plan.rejected[2].why.split(":")[0]),
        ("entry fast", '"@every 0.1s" is out of range'),
    ]
    assert "are no JSON values" in plan.rejected[2].why


def test_an_option_of_a_queue_is_named_and_the_plan_says_what_executors_need(plan):
    (job,) = [each for each in plan.jobs if each.notes]
    assert job.job_id == "cron"
    assert "option queue" in job.notes[0]
    assert "the module proj_of_a_test" in plan.notes[0]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("no_such_module_of_a_test", "cannot be imported: ModuleNotFoundError"),
        ("broken_of_a_test", "cannot be imported: ZeroDivisionError"),
        ("empty_of_a_test", "no Celery app in the module empty_of_a_test"),
        ("proj_of_a_test:add", "no Celery app in proj_of_a_test:add"),
    ],
)
def test_a_module_without_an_app_is_refused(read, name, sentence):
    with pytest.raises(UsageError, match=sentence):
        read(name)


def test_a_python_that_is_not_there_is_refused(read):
    with pytest.raises(UsageError, match="cannot be started: No such file"):
        read("proj_of_a_test", python="/no/such/python")
