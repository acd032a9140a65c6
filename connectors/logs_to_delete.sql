-- The oldest logs whose time is over, of runs that have ended; an attempt that never reported may have left one as well.
select attempt.run_id, attempt.nominal_time, attempt.attempt, attempt.token, attempt.log_uri
from tidemill.attempts as attempt
join tidemill.runs as run using (run_id, nominal_time)
where
    attempt.log_deleted_at is null
    and (attempt.log_uri is not null or (attempt.started_at is not null and attempt.output is null))
    and attempt.dispatched_at < clock_timestamp() - %(log_ttl)s::interval
    and not tidemill.is_open(run.state)
    and (
        tidemill.goes(run, true)
        or attempt.dispatched_at < clock_timestamp() - %(failed_log_ttl)s::interval
    )
order by attempt.dispatched_at
limit %(most)s
