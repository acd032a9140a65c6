-- What was looked at, and how late the first attempts of occurrences started, in seconds.
select
    count(*) filter (where kind = 'node') as nodes,
    count(*) filter (where kind = 'requested') as requests,
    sum(attempt) as attempts,
    extract(epoch from percentile_disc(0.5) within group (order by late))::float8 as p50,
    extract(epoch from percentile_disc(0.95) within group (order by late))::float8 as p95,
    extract(epoch from percentile_disc(0.99) within group (order by late))::float8 as p99,
    extract(epoch from max(late))::float8 as max
from (
    select kind, attempt, case when kind = 'scheduled' then first_started_at - scheduled_time end as late
    from tidemill.runs
    where nominal_time > %(begin)s and nominal_time <= %(end)s
        and filed_on >= (%(begin)s at time zone 'UTC')::date - 1
        and (%(owner)s::text is null or job_id = %(owner)s)
        and (%(tenant)s::text is null or tenant = %(tenant)s)
) as run
