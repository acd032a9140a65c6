-- The open runs of a job, or one run if it is open.
select run_id, state
from tidemill.runs
where (%(job_id)s::text is null or job_id = %(job_id)s)
    and (%(run_id)s::text is null or run_id = %(run_id)s)
    and state in ('queued', 'running', 'retry_wait', 'cancelling')
order by nominal_time, run_id
