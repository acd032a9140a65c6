-- Parameter: rows, as JSON: checkpoints in S3. Those of runs that have ended, up to the last attempt that is known here:
-- a greater token is of a run that goes on, and of which the sink has not told yet.
select checkpoint.uri
from json_to_recordset(%(rows)s) as checkpoint (uri text, run_id text, token bigint)
join tidemill.runs as run using (run_id)
where
    not tidemill.is_open(run.state)
    and checkpoint.token <= (
        select max(attempt.token)
        from tidemill.attempts as attempt
        where attempt.run_id = run.run_id and attempt.filed_on = run.filed_on
    )
