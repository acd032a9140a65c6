-- The days under which earlier rows of reruns are filed. A run keeps its day; a node without rows gets its DAG run's day.
-- Parameter: rows, as JSON: run_id; filed_on, the day for a new run; filed_with, the run whose day counts, i.e. the run itself or
-- its DAG run; since, the first possible day of that run: without it the query would search every week that is kept.
select distinct on (moved.run_id) moved.run_id, known.filed_on
from json_to_recordset(%(rows)s) as moved (run_id text, filed_on date, filed_with text, since date)
join tidemill.runs as known on known.run_id = moved.filed_with and known.filed_on >= moved.since
where not exists (
    select from tidemill.runs as same
    where same.run_id = moved.run_id and same.filed_on = moved.filed_on
)
order by moved.run_id, moved.filed_with <> moved.run_id, known.filed_on
