select
    tenant, count(*) as waiting, extract(epoch from clock_timestamp() - min(scheduled_time)) as oldest
from tidemill.runs
where state in (open_states)
    and state <> 'running'
    and kind not in ('dag', 'backfill')
    and scheduled_time <= clock_timestamp()
group by tenant
order by oldest desc
limit 20
