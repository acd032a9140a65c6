-- What waits, by class and by the reason for waiting, the longest first; counted among the oldest runs that wait.
select
    timeout_class, reason_code, state, is_due, min(reason) as reason, count(*) as runs, min(scheduled_time) as oldest,
    (array_agg(run_id order by scheduled_time))[1] as run_id
from (
    (
        select timeout_class, reason_code, reason, state, scheduled_time, run_id,
            scheduled_time <= clock_timestamp() as is_due
        from tidemill.runs where state = 'queued' order by nominal_time limit %(most)s
    )
    union all
    (
        select timeout_class, reason_code, reason, state, scheduled_time, run_id, true
        from tidemill.runs where state = 'retry_wait' order by nominal_time limit %(most)s
    )
) as waiting
group by timeout_class, reason_code, state, is_due
order by is_due desc, oldest
limit 20
