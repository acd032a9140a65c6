-- Runs, newest first. Latency is from due (of a node: from when it could start) to started: of the first attempt, if it is
-- known. What a backfill runs was due long ago, and is not late.
select
    run.*,
    case when run.kind <> 'backfilled' and (run.kind <> 'dag' or run.rerun_id is distinct from run.request_id)
        then coalesce(first.started_at, run.started_at)
            - case run.kind when 'node' then run.queued_at else run.scheduled_time end
    end as latency
from (
    select *
    from tidemill.runs
    where (%(job_id)s::text is null or job_id = %(job_id)s)
        and (%(states)s::text[] is null or state = any (%(states)s))
        and (%(since)s::timestamptz is null or nominal_time >= %(since)s)
    order by nominal_time desc, run_id
    limit %(limit)s
) as run
left join lateral (
    select min(started_at) as started_at
    from tidemill.attempts
    where attempts.run_id = run.run_id and attempts.filed_on = run.filed_on
) as first on true
order by run.nominal_time desc, run.run_id
