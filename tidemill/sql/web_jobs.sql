-- A page of jobs, each with its last %(ends)s runs, the newest first.
select job.*, ends.runs
from (
    select *
    from tidemill.jobs
    where (%(tenant)s::text is null or tenant = %(tenant)s) and (%(after)s::text is null or job_id > %(after)s)
        and (%(search)s::text is null or strpos(lower(job_id), lower(%(search)s)) > 0)
    order by job_id
    limit %(limit)s
) as job
cross join lateral (
    select coalesce(json_agg(row_to_json(each)), '[]') as runs
    from (
        select
            run_id, state,
            extract(epoch from least(finished_at, clock_timestamp()) - started_at)::float8 as seconds
        from tidemill.runs
        where runs.job_id = job.job_id and missed_count is null
        order by nominal_time desc
        limit %(ends)s
    ) as each
) as ends
order by job.job_id
