select
    run_id, state, reason_code as reason, scheduled_time as scheduled,
    extract(epoch from first_started_at - scheduled_time) as late, extract(epoch from finished_at - started_at) as took,
    attempt as attempts, exit_code, executor_id as executor, reason as why
from tidemill.runs
where job_id = ${job_id:sqlstring} and kind <> 'backfill' and $__timeFilter(nominal_time)
order by nominal_time desc
limit 50
