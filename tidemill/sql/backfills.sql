-- Backfills, the newest first.
select *
from tidemill.backfills
where %(job_id)s::text is null or job_id = %(job_id)s
order by queued_at desc, request_id
limit %(limit)s
