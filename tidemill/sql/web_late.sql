-- The jobs and DAGs whose runs started more than a minute late since a time, the latest first, among the newest runs that
-- were due. What a backfill runs was due long ago, and is not late; a node starts when its dependencies have ended.
with newest as (
    select run_id, job_id, dag_id, kind, scheduled_time, started_at, first_started_at, request_id, rerun_id
    from tidemill.runs
    where nominal_time >= %(since)s
    order by nominal_time desc, run_id
    limit %(most)s
), late as (
    select *, coalesce(first_started_at, started_at) - scheduled_time as late_by
    from newest
    where kind not in ('backfilled', 'node', 'backfill') and (kind <> 'dag' or rerun_id is distinct from request_id)
        and coalesce(first_started_at, started_at) - scheduled_time > interval '1 minute'
)
select
    job_id, bool_or(dag_id is not null) as is_dag, count(*) as runs, max(late_by) as late_by,
    (array_agg(run_id order by late_by desc))[1] as run_id
from late
group by job_id
order by max(scheduled_time) desc
limit 8
