-- Backfills, the newest first; progress is counted only for the selected ones.
select *
from tidemill.backfills
where run_id in (
    select run_id
    from tidemill.runs
    where kind = 'backfill' and (%(job_id)s::text is null or job_id = %(job_id)s)
    order by nominal_time desc, run_id
    limit %(limit)s
)
order by queued_at desc, request_id
