-- The job of the probe run: only on request, with one attempt, blocks no other run. A correct row is not updated.
insert into tidemill.jobs (job_id, executable, max_attempts, max_infra_retries, overlap_policy)
values (%(job_id)s, %(executable)s, 1, 0, 'allow_all')
on conflict (job_id) do update set executable = excluded.executable, sha256 = null, schedule = null, paused = false
where (jobs.executable, jobs.paused) is distinct from (excluded.executable, false)
    or jobs.sha256 is not null
    or jobs.schedule is not null
