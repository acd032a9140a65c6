-- The attempts of one run, in order.
select
    attempt, token, timeout_class, ended_as, exit_code, reason, reason_code, executor_id, dispatched_at, claimed_at, started_at,
    finished_at, sha256, output, output_bytes, log_uri, peak_memory, cpu_seconds, log_deleted_at
from tidemill.attempts
where run_id = %(run_id)s and filed_on = %(filed_on)s
order by attempt, token
