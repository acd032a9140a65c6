-- Requests a backfill; the id is the idempotency key, so a second request changes nothing.
insert into tidemill.requests
    (request_id, kind, job_id, dag_id, backfill_from, backfill_to, reprocess, max_active_runs, run_backwards, note)
values (
    %(request_id)s, 'backfill', %(job_id)s, %(dag_id)s, %(backfill_from)s,
    coalesce(%(backfill_to)s::timestamptz, date_trunc('milliseconds', clock_timestamp())),
    %(reprocess)s, %(max_active_runs)s, %(run_backwards)s, %(note)s
)
on conflict do nothing
returning request_id
