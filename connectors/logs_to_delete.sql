-- The ended runs with the oldest expired logs, and the attempts that wrote these logs; without the runs whose logs S3 did not
-- delete in this round (stuck).
select story.run_id, story.filed_on, gone.attempts, gone.tokens
from tidemill.stories as story
join tidemill.runs as run using (run_id, filed_on)
cross join lateral (
    select array_agg(attempt.attempt) as attempts, array_agg(attempt.token) as tokens
    from unnest(story.attempts) as attempt
    where attempt.log_deleted_at is null
        and (attempt.log_uri is not null or (attempt.started_at is not null and attempt.output is null))
        and attempt.dispatched_at < statement_timestamp() - case
            when tidemill.goes(run, true) then %(log_ttl)s::interval
            else %(failed_log_ttl)s::interval
        end
) as gone
where
    story.oldest_log < statement_timestamp() - %(log_ttl)s::interval
    and not tidemill.is_open(run.state)
    and gone.tokens is not null
    and story.run_id <> all (%(stuck)s::text[])
order by story.oldest_log
limit %(most)s
