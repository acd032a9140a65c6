-- Every attempt of the demo, ordered by run.
select run_id, attempt, token, timeout_class, ended_as, started_at from tidemill.attempts order by run_id, attempt, token
