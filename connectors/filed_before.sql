-- Where runs are filed that have run before: each stays where it is; a node that does not is filed with its DAG run.
-- Parameter: rows, as JSON: a run, the day on which it would be filed now, the run whose day counts, itself or its DAG run, and
-- the day before which that was not known: without it each run is looked for in every week that is kept.
select distinct on (moved.run_id) moved.run_id, known.filed_on
from json_to_recordset(%(rows)s) as moved (run_id text, filed_on date, filed_with text, since date)
join tidemill.runs as known on known.run_id = moved.filed_with and known.filed_on >= moved.since
where not exists (
    select from tidemill.runs as same
    where same.run_id = moved.run_id and same.filed_on = moved.filed_on
)
order by moved.run_id, moved.filed_with <> moved.run_id, known.filed_on
