-- The kept weeks, and the last round of pruning; nulls before the first round.
select
    (select min(week) from tidemill.weeks) as oldest_week,
    (select count(*) from tidemill.weeks) as weeks,
    known.began_at,
    known.finished_at,
    known.next_at,
    known.failure
from (select 1) as always
left join tidemill.retention as known on true
