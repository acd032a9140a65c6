-- How many runs of a job each day had in each state, of its newest %(scan)s runs since `since`; `until` is the oldest of them.
select
    (nominal_time at time zone %(timezone)s)::date as day, state, count(*) as runs, min(nominal_time) as since
from (
    select nominal_time, state
    from tidemill.runs
    where job_id = %(job_id)s and nominal_time >= %(since)s
    order by nominal_time desc
    limit %(scan)s
) as newest
group by 1, 2
