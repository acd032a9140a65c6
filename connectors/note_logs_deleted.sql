-- Set log_deleted_at. Parameter: rows, as JSON: for each run, the tokens of the attempts whose logs are deleted.
update tidemill.stories as known
set attempts = array(
    select row(
        attempt, token, timeout_class, dispatched_at, executor_id, claimed_at, started_at, finished_at, ended_as, exit_code,
        reason, reason_code, sha256, output, output_bytes, log_uri, peak_memory,
        cpu_seconds,
        case when token = any (gone.tokens) then clock_timestamp() else log_deleted_at end
    )::tidemill.attempt
    from unnest(known.attempts)
)
from json_to_recordset(%(rows)s) as gone (run_id text, filed_on date, tokens bigint[])
where known.run_id = gone.run_id and known.filed_on = gone.filed_on
