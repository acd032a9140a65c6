-- The records of occurrences in (begin, end], by job or DAG: runs, and ranges that did not run.
select
    job_id, run_id, coalesce(missed_from, nominal_time) as at, state, reason_code, missed_to, missed_count, missed_at_least
from tidemill.runs
where kind in ('scheduled', 'dag') and request_id is null
    and nominal_time <= %(end)s and coalesce(missed_to, nominal_time) > %(begin)s
    and filed_on >= (%(begin)s at time zone 'UTC')::date - 1
    and (%(owner)s::text is null or job_id = %(owner)s)
    and (%(tenant)s::text is null or tenant = %(tenant)s)
order by job_id collate "C", nominal_time
