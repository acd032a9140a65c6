-- How many runs are in each open state, each counted up to a limit; and how many queued ones are late.
select
    state, count(*) as runs,
    count(*) filter (where state = 'queued' and scheduled_time < clock_timestamp() - interval '1 minute') as late
from unnest(array['queued', 'running', 'retry_wait', 'cancelling']) as word
cross join lateral (
    select state, scheduled_time from tidemill.runs where state = word order by nominal_time limit %(most)s
) as each
group by state
