-- The rows that retention will drop with a week, each as JSON, always in the same order. The log is kept like failed runs.
select row_to_json(change)::text
from tidemill.audit_log as change
where
    at >= tidemill.begin_of(%(week)s)
    and at < tidemill.begin_of(%(week)s + 7)
    and not %(keep_failures)s
order by at, number
