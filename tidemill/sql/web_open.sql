-- How many runs are in each open state, each counted up to a limit, the oldest first; and how many queued ones are late.
-- A query for each state: only with its literal does the planner use the index of states.
with open as (
    (select state, scheduled_time from tidemill.runs where state = 'queued' order by nominal_time limit %(most)s)
    union all
    (select state, scheduled_time from tidemill.runs where state = 'running' order by nominal_time limit %(most)s)
    union all
    (select state, scheduled_time from tidemill.runs where state = 'retry_wait' order by nominal_time limit %(most)s)
    union all
    (select state, scheduled_time from tidemill.runs where state = 'cancelling' order by nominal_time limit %(most)s)
)
select
    state, count(*) as runs,
    count(*) filter (where state = 'queued' and scheduled_time < clock_timestamp() - interval '1 minute') as late
from open
group by state
