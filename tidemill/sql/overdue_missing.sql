-- Which of these occurrences have no row of their own. A row is filed on the day of its occurrence or later.
select asked.number
from unnest(%(owners)s::text[], %(times)s::timestamptz[]) with ordinality as asked (owner, at, number)
left join lateral (
    select true as is_there
    from tidemill.runs
    where job_id = asked.owner and nominal_time = asked.at and filed_on >= (asked.at at time zone 'UTC')::date - 1
    limit 1
) as run on true
where run.is_there is null
