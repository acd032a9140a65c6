-- Whether everybody can see that the probe run has ended.
select clock_timestamp() as at from tidemill.runs
where run_id = %(run_id)s and finished_at is not null
