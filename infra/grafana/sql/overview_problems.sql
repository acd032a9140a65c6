select at, kind, code, owner as job_id, run_id, reason as why
from tidemill.problems
where $__timeFilter(at)
order by at desc
limit 20
