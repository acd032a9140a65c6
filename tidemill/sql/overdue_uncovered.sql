-- Which of these occurrences are in no range of occurrences that did not run.
select asked.number
from unnest(%(owners)s::text[], %(times)s::timestamptz[]) with ordinality as asked (owner, at, number)
left join lateral (
    select true as is_there
    from tidemill.runs
    where job_id = asked.owner and nominal_time <= asked.at and missed_to >= asked.at
        and filed_on >= (asked.at at time zone 'UTC')::date - 1
    limit 1
) as range on true
where range.is_there is null
