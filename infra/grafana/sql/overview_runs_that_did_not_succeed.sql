select run_id, job_id, tenant, state, reason_code as reason, attempt as attempts, finished_at as ended, reason as why
from tidemill.runs
where state in ('failed', 'timed_out', 'dead')
    and kind <> 'backfill'
    and $__timeFilter(nominal_time)
order by nominal_time desc
limit 20
