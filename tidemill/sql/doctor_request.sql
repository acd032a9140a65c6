-- Requests the probe run, and returns the time of the row.
insert into tidemill.requests (request_id, job_id)
values (%(request_id)s, %(job_id)s)
returning clock_timestamp() as at
