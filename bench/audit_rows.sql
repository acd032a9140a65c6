-- The runs of one day of `jobs` jobs that are due each minute, with their stories: as many as the times of the day.
with made as materialized (
    select
        'job-' || lpad(job::text, 6, '0') as owner, %(first)s::timestamptz + minute * interval '1 minute' as due,
        job * 100000 + minute as number
    from generate_series(0, %(jobs)s - 1) as job
    cross join generate_series(0, %(minutes)s - 1) as minute
), filed as (
    insert into tidemill.runs
        (run_id, job_id, tenant, kind, nominal_time, scheduled_time, state, attempt, timeout_class, executor_id,
        queued_at, started_at, first_started_at, finished_at, exit_code, version, filed_on)
    select
        owner || '@' || tidemill.wire_instant(due), owner, 'default', 'scheduled', due, due, 'succeeded', 1, '10s',
        'executor-1.2', due, due + interval '15 ms', due + interval '15 ms', due + interval '1 s', 0, number * 4,
        (due at time zone 'UTC')::date
    from made
)
insert into tidemill.stories (run_id, filed_on, nominal_time, job_id, attempts, transitions)
select
    owner || '@' || tidemill.wire_instant(due), (due at time zone 'UTC')::date, due, owner,
    array[row(
        1, number * 4 - 2, '10s', due, 'executor-1.2', due, due + interval '15 ms', due + interval '1 s', 'succeeded', 0,
        null, null, null, 'hello world', 12, null, null, null, null)::tidemill.attempt],
    array[
        row(number * 4 - 3, due, 'queued', 0, null, null)::tidemill.transition,
        row(number * 4 - 1, due, 'running', 1, null, null)::tidemill.transition,
        row(number * 4, due + interval '1 s', 'succeeded', 1, null, null)::tidemill.transition]
from made
