-- The rows that retention will drop with a week, each as JSON, always in the same order.
select row_to_json(each)::text
from tidemill.transitions as each
join tidemill.runs as run using (run_id, filed_on)
where filed_on >= %(week)s and filed_on < %(week)s + 7 and tidemill.goes(run, %(keep_failures)s)
order by run_id, each.version
