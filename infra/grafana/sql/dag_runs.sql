select count(*) as runs
from tidemill.runs
where job_id = ${dag_id:sqlstring}
    and kind = 'dag'
    and $__timeFilter(nominal_time)
    and started_at is not null
