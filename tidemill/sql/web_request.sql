-- The payload of a request about a run's job or DAG.
select payload from tidemill.requests where request_id = %(request_id)s and owner = %(job_id)s
