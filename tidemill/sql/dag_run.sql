-- One DAG run, with its duration and the current time.
select *, coalesce(finished_at, clock_timestamp()) - started_at as duration, clock_timestamp() as seen_at
from tidemill.dag_runs where run_id = %(run_id)s
