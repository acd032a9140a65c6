"""One job: how its runs end, how long they take and how late they start. All of it from the read model."""

from __future__ import annotations

from infra.grafana.dashboard import TABLES, Dashboard, Section, choice
from infra.grafana.panels import bars, lines, number, state, table, timeline
from infra.grafana.sources import Sql

NUMBERS = (
    state(
        "Last end",
        "How the latest run ended; without those that did not run.",
        Sql(name="job_last_end"),
    ),
    number(
        "Last success",
        "When the latest run by scheduled time that succeeded has ended.",
        Sql(name="job_last_success"),
        "dateTimeFromNow",
    ),
    number(
        "Succeeded",
        "Share of the runs with an end that succeeded, over the chosen range.",
        Sql(name="job_succeeded"),
        "percentunit",
    ),
    number(
        "Runs",
        "Runs over the chosen range, without those that did not run.",
        Sql(name="job_runs"),
        "short",
    ),
    number(
        "Open",
        "Runs that have not ended.",
        Sql(name="job_open"),
        "short",
    ),
    number(
        "Typical duration",
        "Half of the runs of the chosen range took longer.",
        Sql(name="job_typical_duration"),
        "s",
    ),
)
OVER_TIME = (
    timeline(
        "States",
        "Each change of state of the runs; at most the first 5,000 changes of the chosen range.",
        Sql(name="job_states", over_time=True),
    ),
    lines(
        "Duration",
        "From the start of the last attempt to its end.",
        (Sql(name="job_duration", over_time=True),),
        "s",
    ),
    lines(
        "Lateness",
        "From the scheduled time to the start of the first attempt.",
        (Sql(name="job_lateness", over_time=True),),
        "s",
        limit=5,
    ),
    bars(
        "Ends",
        "Runs by their present state; a range of missed occurrences counts each.",
        (Sql(name="job_ends", over_time=True),),
    ),
    bars(
        "Attempts",
        "Attempts of the runs; more than one for each run means retries or promotions.",
        (Sql(name="job_attempts", over_time=True),),
    ),
)
LISTS = (
    table(
        "Last runs",
        "The latest by scheduled time. A click opens the run with its log and its story.",
        (Sql(name="job_last_runs"),),
        height=10,
        units={"late": "s", "took": "s"},
        links={"run_id": "/runs/${__value.raw:percentencode}"},
    ),
    table(
        "Attempts that did not succeed",
        "The latest attempts of the runs of the chosen range, and the end of their output.",
        (Sql(name="job_attempts_that_did_not_succeed"),),
        links={"run_id": "/runs/${__value.raw:percentencode}"},
    ),
    table(
        "Definition",
        "What the row of the job says; the web page shows every version and the next fires.",
        (Sql(name="job_definition"),),
        height=4,
        links={"job_id": "/jobs/${__value.raw:percentencode}"},
    ),
)
DASHBOARD = Dashboard(
    uid="tidemill-job",
    title="Job",
    says="How the runs of one job end, how long they take and how late they start.",
    sections=(
        Section(title="${job_id}", panels=NUMBERS),
        Section(title="Over time", panels=OVER_TIME),
        Section(title="Runs", panels=LISTS),
    ),
    variables=(*TABLES, choice("job_id", "Job", "jobs")),
    since="now-24h",
)
