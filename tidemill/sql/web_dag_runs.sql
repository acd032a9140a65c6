-- The newest runs of a DAG up to `before`, the newest first.
select run_id, state, nominal_time, scheduled_time, filed_on, nodes, started_at, finished_at, reason
from tidemill.runs
where job_id = %(dag_id)s and kind = 'dag' and missed_count is null
    and (%(before)s::timestamptz is null or nominal_time <= %(before)s)
order by nominal_time desc, run_id desc
limit %(limit)s
