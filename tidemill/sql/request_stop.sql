-- Requests the stop of a run, or of all open runs of a job.
insert into tidemill.requests (request_id, kind, job_id, run_id, note)
values (%(request_id)s, %(kind)s, %(job_id)s, %(run_id)s, %(note)s)
returning request_id, job_id
