select count(*) as runs
from tidemill.runs
where job_id = ${job_id:sqlstring}
    and kind <> 'backfill'
    and $__timeFilter(nominal_time)
    and started_at is not null
