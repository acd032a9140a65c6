-- Of runs that were written. Parameter: rows, as JSON.
insert into tidemill.attempts as known
select * from json_populate_recordset(null::tidemill.attempts, %(rows)s)
on conflict (run_id, attempt, token, nominal_time) do update set
    timeout_class = excluded.timeout_class,
    dispatched_at = excluded.dispatched_at,
    executor_id = excluded.executor_id,
    claimed_at = excluded.claimed_at,
    started_at = excluded.started_at,
    finished_at = excluded.finished_at,
    ended_as = excluded.ended_as,
    exit_code = excluded.exit_code,
    reason = excluded.reason,
    sha256 = excluded.sha256,
    output = excluded.output,
    output_bytes = excluded.output_bytes,
    log_uri = excluded.log_uri
