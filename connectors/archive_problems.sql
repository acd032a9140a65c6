-- The rows that retention will drop with a week, each as JSON, always in the same order. Problems are kept like failed runs.
select row_to_json(problem)::text
from tidemill.problems as problem
where
    at >= tidemill.begin_of(%(week)s)
    and at < tidemill.begin_of(%(week)s + 7)
    and not %(keep_failures)s
order by at, partition, record_offset, topic_id
