-- The rows that are about to go with a day, each as JSON, always in the same order.
select row_to_json(run)::text
from tidemill.runs as run
where
    nominal_time >= tidemill.begin_of(%(day)s)
    and nominal_time < tidemill.begin_of(%(day)s + 1)
    and tidemill.goes(run, %(keep_failures)s)
order by run_id, nominal_time
