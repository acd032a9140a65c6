select state_number(state) as state
from tidemill.runs
where job_id = ${job_id:sqlstring}
    and kind <> 'backfill'
    and finished_at is not null
    and state not in (open_states)
    and started_at is not null
order by nominal_time desc
limit 1
