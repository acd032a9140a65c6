"""Every route of the API: the table of contents, of which the documentation is made. A new one is an entry here."""

from __future__ import annotations

from tidemill.api import dags, fleet, jobs, requests, runs
from tidemill.api.bodies import BatchBody, DagBody, JobBody, JobPatch, NextBody, RequestBody, TriggerBody
from tidemill.api.events import EventsQuery
from tidemill.api.route import Route, Scope

EVENTS = "/events"
IF_MATCH = ("If-Match",)
PRECONDITIONS = ("If-Match", "If-None-Match")
ASKING = ("Idempotency-Key", "Prefer")
READ, OPERATE, ADMIN = Scope.READ, Scope.OPERATE, Scope.ADMIN

JOBS = (
    Route(method="GET", path="/jobs", handle=jobs.list_jobs, tag="jobs", scope=READ, query=jobs.ListQuery,
          summary="List jobs by id, each with its last run.", answers={200: "JobList"}),
    Route(method="GET", path="/jobs/{job_id}", handle=jobs.get, tag="jobs", scope=READ,
          summary="Read a job; its version is the ETag.", answers={200: "Job"}, problems=(404,)),
    Route(method="PUT", path="/jobs/{job_id}", handle=jobs.put, tag="jobs", scope=ADMIN, body=JobBody,
          takes=PRECONDITIONS, summary="Create a job, or replace it: what the body leaves out gets its default.",
          answers={200: "Job", 201: "Job"}, problems=(409, 412, 428)),
    Route(method="PATCH", path="/jobs/{job_id}", handle=jobs.patch, tag="jobs", scope=ADMIN, body=JobPatch,
          takes=IF_MATCH, summary="Change columns of a job (JSON merge patch); null takes a value away.",
          answers={200: "Job"}, problems=(404, 409, 412)),
    Route(method="DELETE", path="/jobs/{job_id}", handle=jobs.delete, tag="jobs", scope=ADMIN, takes=IF_MATCH,
          summary="Delete a job. Its runs stay in the history.", answers={204: None}, problems=(404, 409, 412)),
    Route(method="GET", path="/jobs/{job_id}/next", handle=jobs.next_of_job, tag="jobs", scope=READ,
          query=jobs.NextQuery, summary="When the job is due next.", answers={200: "NextTimes"}, problems=(404,)),
    Route(method="GET", path="/jobs/{job_id}/explain", handle=jobs.explain, tag="jobs", scope=READ,
          query=jobs.ExplainQuery, summary="Why the job ran, or did not run, in sentences.",
          answers={200: "ExplanationList"}, problems=(404,)),
    Route(method="GET", path="/jobs/{job_id}/versions", handle=jobs.versions, tag="jobs", scope=READ,
          query=jobs.VersionsQuery, summary="The versions of a job, the newest first, each with what it changed.",
          answers={200: "VersionList"}, problems=(404,)),
    Route(method="GET", path="/jobs/{job_id}/versions/{version}", handle=jobs.version, tag="jobs", scope=READ,
          summary="One version of a job.", answers={200: "Version"}, problems=(404,)),
    Route(method="POST", path="/jobs/{job_id}/trigger", handle=requests.trigger_job, tag="requests", scope=OPERATE,
          body=TriggerBody, takes=ASKING, summary="Run a job once; Location names the run.",
          answers={200: "Run", 202: "Accepted"}, problems=(409,)),
    Route(method="POST", path="/next", handle=jobs.next_of_schedule, tag="jobs", scope=READ, body=NextBody,
          summary="When a schedule would be due that is not stored.", answers={200: "NextTimes"}),
)  # fmt: skip
DAGS = (
    Route(method="GET", path="/dags", handle=dags.list_dags, tag="dags", scope=READ, query=dags.ListQuery,
          summary="List DAGs.", answers={200: "DagList"}),
    Route(method="GET", path="/dags/{dag_id}", handle=dags.get, tag="dags", scope=READ,
          summary="Read a DAG with its nodes; its version is the ETag.", answers={200: "Dag"}, problems=(404,)),
    Route(method="PUT", path="/dags/{dag_id}", handle=dags.put, tag="dags", scope=ADMIN, body=DagBody,
          takes=PRECONDITIONS, summary="Create a DAG, or replace it with all its nodes.",
          answers={200: "Dag", 201: "Dag"}, problems=(409, 412, 428)),
    Route(method="DELETE", path="/dags/{dag_id}", handle=dags.delete, tag="dags", scope=ADMIN, takes=IF_MATCH,
          summary="Delete a DAG and its nodes.", answers={204: None}, problems=(404, 409, 412)),
    Route(method="GET", path="/dags/{dag_id}/runs", handle=dags.dag_runs, tag="dags", scope=READ, query=dags.RunsQuery,
          summary="The runs of a DAG, the newest first.", answers={200: "DagRunList"}, problems=(404,)),
    Route(method="GET", path="/dags/{dag_id}/grid", handle=dags.grid, tag="dags", scope=READ, query=dags.GridQuery,
          summary="The newest runs of a DAG with the state of each node.", answers={200: "DagRunList"},
          problems=(404,)),
    Route(method="POST", path="/dags/{dag_id}/trigger", handle=requests.trigger_dag, tag="requests", scope=OPERATE,
          body=TriggerBody, takes=ASKING, summary="Run a DAG once; Location names the run.",
          answers={200: "Run", 202: "Accepted"}, problems=(409,)),
)  # fmt: skip
REQUESTS = (
    Route(method="POST", path="/requests", handle=requests.post, tag="requests", scope=OPERATE, body=RequestBody,
          takes=ASKING, summary="Run, cancel, terminate, rerun, mark or backfill; the same key asks once.",
          answers={200: "Run", 202: "Accepted"}, problems=(409,)),
    Route(method="POST", path="/requests:batch", handle=requests.post_batch, tag="requests", scope=OPERATE,
          body=BatchBody, summary="Up to 1,000 requests in one transaction: all or none.",
          answers={202: "AcceptedList"}, problems=(409,)),
    Route(method="GET", path="/requests/{request_id}", handle=requests.get, tag="requests", scope=READ,
          query=requests.RequestQuery, summary="A request, and what became of it.", answers={200: "Request"},
          problems=(404, 409)),
)  # fmt: skip
RUNS = (
    Route(method="GET", path="/runs", handle=runs.list_runs, tag="runs", scope=READ, query=runs.ListQuery,
          summary="List runs, the latest first.", answers={200: "RunList"}),
    Route(method="GET", path="/runs/{run_id}", handle=runs.get, tag="runs", scope=READ, query=runs.RunQuery,
          takes=("Prefer",), summary="Read a run, or wait for its end.", answers={200: "Run"}, problems=(404,)),
    Route(method="GET", path="/runs/{run_id}/attempts", handle=runs.attempts, tag="runs", scope=READ,
          summary="The attempts of a run.", answers={200: "AttemptList"}, problems=(404,)),
    Route(method="GET", path="/runs/{run_id}/transitions", handle=runs.transitions, tag="runs", scope=READ,
          summary="The history of a run's states.", answers={200: "TransitionList"}, problems=(404,)),
    Route(method="GET", path="/runs/{run_id}/nodes", handle=dags.run_nodes, tag="runs", scope=READ,
          summary="The nodes of a DAG run.", answers={200: "NodeRunList"}, problems=(404,)),
    Route(method="GET", path="/runs/{run_id}/explain", handle=runs.explain, tag="runs", scope=READ,
          summary="Why the run ran as it did, or why there is none, in sentences.",
          answers={200: "Explanation"}, problems=(404,)),
    Route(method="GET", path="/runs/{run_id}/log", handle=runs.log, tag="runs", scope=READ, query=runs.LogQuery,
          takes=("Range",), summary="What an attempt wrote; Range reads a part.", media_type="application/octet-stream",
          answers={200: "Log", 206: "Log"}, problems=(404, 416)),
)  # fmt: skip
FLEET = (
    Route(method="GET", path="/backfills", handle=fleet.backfills, tag="runs", scope=READ, query=fleet.BackfillsQuery,
          summary="Backfills with their progress, the newest first.", answers={200: "BackfillList"}),
    Route(method="GET", path="/problems", handle=fleet.problems, tag="fleet", scope=READ, query=fleet.ProblemsQuery,
          summary="Refused inputs and alerts, the newest first.", answers={200: "ProblemRowList"}),
    Route(method="GET", path="/executors", handle=fleet.executors, tag="fleet", scope=READ,
          summary="The executors and their slots.", answers={200: "ExecutorList"}),
    Route(method="GET", path="/partitions", handle=fleet.partitions, tag="fleet", scope=READ,
          summary="Which worker decides for which partition, and up to when.", answers={200: "PartitionList"}),
    Route(method="GET", path="/scaling/{class}", handle=fleet.scaling, tag="fleet", scope=READ,
          summary="How many slots of a class are busy and wanted, for an autoscaler.", answers={200: "Scaling"},
          problems=(404,)),
)  # fmt: skip
STREAMS = (
    Route(method="GET", path=EVENTS, handle=None, tag="runs", scope=READ, query=EventsQuery, takes=("Last-Event-ID",),
          summary="Changes of runs as they happen; Last-Event-ID goes on where a reader was.",
          media_type="text/event-stream", answers={200: "EventStream"}),
)  # fmt: skip
ROUTES = (*JOBS, *DAGS, *REQUESTS, *RUNS, *FLEET, *STREAMS)
