-- The newest runs that wait for an executor that can run them, and why.
select run_id, reason
from tidemill.runs
where reason_code = 'no_capable_executor' and state in ('queued', 'running', 'retry_wait', 'cancelling')
order by nominal_time desc, run_id
limit 10
