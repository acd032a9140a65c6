select
    job_id, count(*) filter (where kind <> 'node') as runs, count(distinct nominal_time) as occurrences,
    count(*) filter (where kind <> 'node' and state = 'succeeded') as succeeded,
    count(*) filter (where kind = 'node') as nodes, max(attempt) as most_attempts
from tidemill.runs
group by job_id
order by job_id
