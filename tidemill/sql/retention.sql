-- What is kept, and how the last round of the times to live went; nothing is known before the first one.
select
    (select min(week) from tidemill.weeks) as oldest_week,
    (select count(*) from tidemill.weeks) as weeks,
    known.began_at,
    known.finished_at,
    known.next_at,
    known.failure
from (select 1) as always
left join tidemill.retention as known on true
