select
    executor_id as executor, timeout_class as class, count(*) as running,
    extract(epoch from clock_timestamp() - min(started_at)) as longest
from tidemill.runs
where state = 'running' and executor_id is not null
group by 1, 2
order by 3 desc
limit 100
