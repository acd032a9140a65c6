-- The checkpoints of ended runs, up to the token of the last attempt in the read model: a greater token belongs to a rerun
-- whose status the sink has not written yet. Parameter: rows, as JSON: checkpoints in S3.
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
