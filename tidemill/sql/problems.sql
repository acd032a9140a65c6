-- Inputs that were set aside, and alerts, the newest first.
select *
from tidemill.problems
where (%(since)s::timestamptz is null or at >= %(since)s)
    and (%(codes)s::text[] is null or code = any (%(codes)s))
order by at desc, partition, record_offset desc
limit %(limit)s
