-- A page of jobs, each with its last run.
select job.*, last.run_id as last_run, last.state as last_state
from (
    select *
    from tidemill.jobs
    where (%(tenant)s::text is null or tenant = %(tenant)s) and (%(after)s::text is null or job_id > %(after)s)
    order by job_id
    limit %(limit)s
) as job
left join lateral (
    select run_id, state
    from tidemill.runs
    where runs.job_id = job.job_id
    order by nominal_time desc
    limit 1
) as last on true
order by job.job_id
