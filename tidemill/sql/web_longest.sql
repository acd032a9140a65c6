-- The running runs that were due first.
select run_id, job_id, dag_id, kind, state, started_at, executor_id, timeout_class
from tidemill.runs
where state = 'running'
order by nominal_time
limit %(limit)s
