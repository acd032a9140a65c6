-- The time at which the table shows the end of the probe run.
select clock_timestamp() as at from tidemill.runs
where run_id = %(run_id)s and finished_at is not null
