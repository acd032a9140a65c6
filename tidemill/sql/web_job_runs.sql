-- The newest runs of a job that have started, with their durations in seconds.
select run_id, state, nominal_time, started_at, finished_at, attempt,
    extract(epoch from coalesce(finished_at, clock_timestamp()) - started_at)::float8 as seconds
from (
    select * from tidemill.runs where job_id = %(job_id)s order by nominal_time desc limit %(scan)s
) as newest
where started_at is not null
order by nominal_time desc
limit %(limit)s
