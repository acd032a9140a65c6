-- Parameter: rows, as JSON, of the attempts whose logs are gone.
update tidemill.attempts as known
set log_deleted_at = clock_timestamp()
from
    json_to_recordset(%(rows)s)
    as gone (run_id text, nominal_time timestamptz, attempt int, token bigint)
where
    known.run_id = gone.run_id
    and known.nominal_time = gone.nominal_time
    and known.attempt = gone.attempt
    and known.token = gone.token
