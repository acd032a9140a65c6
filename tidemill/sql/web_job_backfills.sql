-- The days on which runs of the newest backfills of a job lie.
select distinct (each.nominal_time at time zone %(timezone)s)::date as day
from (
    select request_id
    from tidemill.runs
    where kind = 'backfill' and job_id = %(job_id)s and nominal_time >= %(since)s
    order by nominal_time desc, run_id
    limit 20
) as backfill
cross join lateral (
    select nominal_time, job_id
    from tidemill.runs
    where kind in ('backfilled', 'dag') and runs.request_id = backfill.request_id
    limit 1000
) as each
where each.job_id = %(job_id)s
