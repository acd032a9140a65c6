select avg((state = 'succeeded')::int) as succeeded
from tidemill.runs
where job_id = ${job_id:sqlstring}
    and kind <> 'backfill'
    and $__timeFilter(nominal_time)
    and state in ('succeeded', 'failed', 'timed_out', 'dead')
