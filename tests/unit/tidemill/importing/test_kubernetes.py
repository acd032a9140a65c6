"""A CronJob of Kubernetes becomes a job with the same times, tries and limits, or a reason why it cannot."""

from __future__ import annotations

import orjson
import pytest
import yaml

from tidemill.importing.kubernetes import read_kubernetes
from tidemill.target import UsageError

CONTAINER = {"name": "c", "image": "busybox:1", "command": ["sh", "-c"], "args": ["echo 'it works'; date"]}


def cron_job(*, spec=None, job=None, pod=None, container=None, **metadata):
    pod = {"containers": [CONTAINER | (container or {})]} | (pod or {})
    job = {"template": {"spec": pod}} | (job or {})
    spec = {"schedule": "*/5 * * * *", "jobTemplate": {"spec": job}} | (spec or {})
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "backup"} | metadata, "spec": spec}


def read(*documents):
    return read_kubernetes(yaml.safe_dump_all(documents))


def only(document):
    plan = read(document)
    assert not plan.rejected
    return plan.jobs[0]


def test_the_defaults_are_those_of_kubernetes():
    job = only(cron_job())
    assert job.job_id == "backup"
    assert job.command == """sh -c 'echo '"'"'it works'"'"'; date'"""
    assert job.columns == {
        "schedule": "*/5 * * * *",
        "timezone": "UTC",
        "overlap_policy": "allow_all",
        "max_attempts": 7,
        "initial_interval": "10 seconds",
        "max_interval": "6 minutes",
        "cancel_grace": "30 seconds",
    }
    assert any("image busybox:1 is not used" in note for note in job.notes)


def test_what_a_cron_job_says_goes_into_columns():
    said = {"timeZone": "Asia/Tokyo", "concurrencyPolicy": "Forbid", "startingDeadlineSeconds": 90, "suspend": True}
    limits = {"memory": "256Mi", "cpu": "500m", "ephemeral-storage": "2G"}
    job = only(
        cron_job(
            namespace="ops",
            spec=cron_job(job={"backoffLimit": 0, "activeDeadlineSeconds": 600, "template": cron_job_template(limits)})[
                "spec"
            ]
            | said,
        )
    )
    assert job.job_id == "ops.backup"
    expected = {
        "timezone": "Asia/Tokyo",
        "overlap_policy": "skip",
        "start_deadline": "90 seconds",
        "paused": True,
        "max_attempts": 1,
        "timeout": "600 seconds",
        "memory": 256 * 2**20,
        "cpu": 0.5,
        "disk": 2 * 10**9,
        "cancel_grace": "5 seconds",
    }
    assert expected.items() <= job.columns.items()


def cron_job_template(limits):
    container = CONTAINER | {"resources": {"limits": limits}}
    return {"spec": {"containers": [container], "terminationGracePeriodSeconds": 5}}


def test_variables_are_kept_and_a_secret_is_named():
    env = [
        {"name": "A", "value": "b"},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    job = only(cron_job(container={"env": env, "envFrom": [{"configMapRef": {"name": "m"}}]}))
    assert orjson.loads(job.columns["env"]) == {"A": "b", "PASSWORD": "secret:db.password"}
    assert [note.split()[0] for note in job.notes] == ["PASSWORD", "POD", "envFrom", "the"]


@pytest.mark.parametrize("schedule", ["TZ=Asia/Tokyo 0 4 * * *", "CRON_TZ=Asia/Tokyo 0 4 * * *"])
def test_a_zone_in_the_schedule_goes_into_its_column(schedule):
    job = only(cron_job(spec=cron_job()["spec"] | {"schedule": schedule}))
    assert (job.columns["schedule"], job.columns["timezone"]) == ("0 4 * * *", "Asia/Tokyo")


def test_a_list_and_other_kinds_are_read():
    listed = {"kind": "List", "items": [cron_job(), {"kind": "Deployment"}, cron_job(name="other")]}
    assert [each.job_id for each in read({"kind": "Secret"}, listed, None).jobs] == ["backup", "other"]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (cron_job(container={"command": None}), "names no command"),
        (cron_job(pod={"containers": [CONTAINER, CONTAINER]}), "several containers"),
        (cron_job(pod={"initContainers": [CONTAINER]}), "several containers"),
        (cron_job(job={"completions": 3, "template": {"spec": {"containers": [CONTAINER]}}}), "completions is 3"),
        (cron_job(container={"resources": {"limits": {"memory": "much"}}}), "'much' is not a quantity"),
        (cron_job(spec=cron_job()["spec"] | {"schedule": "0 4 * *"}), "4"),
        ({"kind": "CronJob", "metadata": {"name": "backup"}}, "there is no command"),
        (cron_job(spec=cron_job()["spec"] | {"concurrencyPolicy": "Sometimes"}), "concurrencyPolicy is 'Sometimes'"),
        (cron_job(job=cron_job()["spec"]["jobTemplate"]["spec"] | {"backoffLimit": "six"}), "backoffLimit is 'six'"),
        (cron_job(container={"env": [{}]}), "no valid CronJob"),
        (cron_job(pod={"containers": {"a": 1}}), "no valid CronJob"),
        (cron_job(container={"command": 5}), "no valid CronJob"),
    ],
)
def test_what_becomes_no_job_says_why_and_stops_no_other(document, why):
    plan = read(document, cron_job(name="other"))
    (rejected,) = plan.rejected
    assert why in rejected.why
    assert len(plan.jobs) == 1


@pytest.mark.parametrize("text", ["a: [", "\0", "[" * 5000])
def test_a_file_that_is_not_yaml_is_refused(text):
    with pytest.raises(UsageError, match="the file is not YAML"):
        read_kubernetes(text)
