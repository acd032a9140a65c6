select
    run_id, job_id, tenant, executor_id as executor, timeout_class as class, attempt,
    extract(epoch from clock_timestamp() - started_at) as runs_for
from tidemill.runs
where state = 'running' and executor_id is not null
order by started_at
limit 20
