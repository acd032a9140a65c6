select nominal_time as time, extract(epoch from finished_at - started_at) as duration
from tidemill.runs
where job_id = ${dag_id:sqlstring}
    and kind = 'dag'
    and $__timeFilter(nominal_time)
    and finished_at is not null
    and started_at is not null
order by 1
