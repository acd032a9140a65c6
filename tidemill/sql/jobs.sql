-- All jobs, each with its last run.
select job.*, last.run_id as last_run, last.state as last_state
from tidemill.jobs as job
left join lateral (
    select run_id, state
    from tidemill.runs
    where runs.job_id = job.job_id
    order by nominal_time desc
    limit 1
) as last on true
where %(tenant)s::text is null or job.tenant = %(tenant)s
order by job.job_id
