-- Parameters: rows, as JSON: results in S3; history_ttl. Those of runs of which there is no row any more. That of a run that
-- the sink has not told of yet is young.
select result.uri
from json_to_recordset(%(rows)s) as result (uri text, run_id text, stored_at timestamptz)
where
    result.stored_at <= clock_timestamp() - %(history_ttl)s
    and not exists (select from tidemill.runs as run where run.run_id = result.run_id)
