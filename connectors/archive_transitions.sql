-- The rows that are about to go with a day, each as JSON, always in the same order.
select row_to_json(transition)::text
from tidemill.transitions as transition
join tidemill.runs as run using (run_id, nominal_time)
where
    nominal_time >= tidemill.begin_of(%(day)s)
    and nominal_time < tidemill.begin_of(%(day)s + 1)
    and tidemill.goes(run, %(keep_failures)s)
order by run_id, nominal_time, transition.version
