-- Runs, newest first. Latency is from due (of a node: from when it could start) to started, of the first attempt. What a
-- backfill runs was due long ago, and is not late.
select
    run.*,
    case when run.kind <> 'backfilled' and (run.kind <> 'dag' or run.rerun_id is distinct from run.request_id)
        then coalesce(run.first_started_at, run.started_at)
            - case run.kind when 'node' then run.queued_at else run.scheduled_time end
    end as latency
from tidemill.runs as run
where (%(job_id)s::text is null or job_id = %(job_id)s)
    and (%(states)s::text[] is null or state = any (%(states)s))
    and (%(codes)s::text[] is null or reason_code = any (%(codes)s))
    and (%(since)s::timestamptz is null or nominal_time >= %(since)s)
order by nominal_time desc, run_id
limit %(limit)s
