-- One job.
select * from tidemill.jobs where job_id = %(job_id)s
