select
    run_id, job_id, tenant, state, timeout_class as class,
    extract(epoch from clock_timestamp() - scheduled_time) as waiting,
    coalesce(reason, 'It waits for an executor with a free slot.') as why
from tidemill.runs
where state in (open_states) and state <> 'running' and scheduled_time <= clock_timestamp()
order by scheduled_time
limit 20
