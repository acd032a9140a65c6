-- DAG runs, the newest first.
select run.*, coalesce(run.finished_at, clock_timestamp()) - run.started_at as duration
from tidemill.dag_runs as run
where (%(dag_id)s::text is null or dag_id = %(dag_id)s)
    and (%(states)s::text[] is null or state = any (%(states)s))
    and (%(codes)s::text[] is null or reason_code = any (%(codes)s))
    and (%(since)s::timestamptz is null or nominal_time >= %(since)s)
order by nominal_time desc, run_id
limit %(limit)s
