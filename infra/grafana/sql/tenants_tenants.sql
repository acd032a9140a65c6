select
    tenant,
    count(*) filter (where state in (open_states)) as open,
    count(*) filter (where state = 'succeeded') as succeeded,
    count(*) filter (where state in ('failed', 'timed_out', 'dead')) as not_succeeded,
    coalesce(sum(coalesce(missed_count, 1)) filter (where state in ('skipped', 'missed')), 0) as did_not_run,
    coalesce(sum(extract(epoch from coalesce(finished_at, clock_timestamp()) - started_at)), 0) as slot_time,
    percentile_cont(0.95) within group (order by extract(epoch from first_started_at - scheduled_time)) as late_p95
from tidemill.runs
where kind not in ('dag', 'backfill') and $__timeFilter(nominal_time)
group by tenant
order by slot_time desc
limit 100
