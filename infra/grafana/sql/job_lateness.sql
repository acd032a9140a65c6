select
    $__timeGroupAlias(nominal_time, $__interval),
    percentile_cont(0.5) within group (order by extract(epoch from first_started_at - scheduled_time)) as p50,
    percentile_cont(0.95) within group (order by extract(epoch from first_started_at - scheduled_time)) as p95,
    max(extract(epoch from first_started_at - scheduled_time)) as longest
from tidemill.runs
where job_id = ${job_id:sqlstring}
    and kind <> 'backfill'
    and $__timeFilter(nominal_time)
    and first_started_at is not null
group by 1
order by 1
