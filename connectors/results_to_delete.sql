-- The results of runs without a row. A result younger than history_ttl stays, because the sink may not have written its run yet.
-- Parameters: rows, as JSON: results in S3; history_ttl.
select result.uri
from json_to_recordset(%(rows)s) as result (uri text, run_id text, stored_at timestamptz)
where
    result.stored_at <= clock_timestamp() - %(history_ttl)s
    and not exists (select from tidemill.runs as run where run.run_id = result.run_id)
