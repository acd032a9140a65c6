-- One run.
select * from tidemill.runs where run_id = %(run_id)s
