select
    job_id, tenant, schedule, timezone, paused, overlap_policy, catchup_policy, max_attempts, timeout_class,
    timeout::text as timeout, executable, version, updated_at as changed
from tidemill.jobs
where job_id = ${job_id:sqlstring}
