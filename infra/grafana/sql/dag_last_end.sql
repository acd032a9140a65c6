select state_number(state) as state
from tidemill.runs
where job_id = ${dag_id:sqlstring}
    and kind = 'dag'
    and state not in (open_states)
    and started_at is not null
order by nominal_time desc
limit 1
