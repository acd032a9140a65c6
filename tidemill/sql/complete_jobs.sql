-- The jobs whose ids start with a text.
select job_id as name from tidemill.jobs where starts_with(job_id, %(begin)s) order by job_id limit %(most)s
