-- Inserts the runs of one week with their stories: the numbers `first` to `last` of `count` runs in `days` days until now.
-- In each hundred runs, one is of the job "hot", one of a DAG, one of a backfill, one failed and one was skipped. The last
-- 2,000 runs are open.
with made as materialized (
    select
        number,
        case number %% 100 when 0 then 'hot' when 1 then 'dag-' || number / 100 %% 100 when 2 then 'job-000777'
            else 'job-' || lpad((number * 7919 %% %(jobs)s)::text, 6, '0') end as owner,
        case number %% 100 when 1 then 'dag' when 3 then 'backfilled' else 'scheduled' end as kind,
        %(begin)s::timestamptz + number * (%(days)s * interval '1 day' / %(count)s) as due,
        case
            when number > %(count)s - 2000 then (array['queued', 'running', 'retry_wait', 'cancelling'])[1 + number %% 4]
            when number %% 97 = 0 then (array['failed', 'timed_out', 'dead'])[1 + number / 97 %% 3]
            when number %% 89 = 0 then 'skipped'
            when number %% 1009 = 0 then 'cancelled'
            else 'succeeded'
        end as state,
        case
            when number > %(count)s - 2000 then null
            when number %% 97 = 0 then (array['exit_code', 'timed_out', 'out_of_memory'])[1 + number / 97 %% 3]
            when number %% 89 = 0 then 'overlap_skipped'
            when number %% 1009 = 0 then 'cancelled_by_request'
        end as reason_code
    from generate_series(%(first)s::bigint, %(last)s::bigint) as number
), filed as (
    insert into tidemill.runs
        (run_id, job_id, dag_id, tenant, kind, nominal_time, scheduled_time, state, reason_code, attempt, timeout_class,
        executor_id, queued_at, started_at, finished_at, exit_code, request_id, version, filed_on)
    select
        owner || '@' || tidemill.wire_instant(due), owner, case kind when 'dag' then owner end, 'default', kind, due, due,
        state, reason_code, 1, '10s', 'executor-1.2', due, due + interval '5 ms',
        case when number <= %(count)s - 2000 then due + interval '1 s' end, 0,
        case kind when 'backfilled' then 'backfill-' || number / 100000 end, number * 4, (due at time zone 'UTC')::date
    from made
)
insert into tidemill.stories (run_id, filed_on, nominal_time, job_id, attempts, transitions)
select
    owner || '@' || tidemill.wire_instant(due), (due at time zone 'UTC')::date, due, owner,
    array[row(
        1, number * 4 - 2, '10s', due, 'executor-1.2', due, due + interval '5 ms', due + interval '1 s', 'succeeded', 0, null,
        null, null, 'hello world', 12, null, 9000000, 0.01, null)::tidemill.attempt],
    array[
        row(number * 4 - 3, due, 'queued', 0, null, null)::tidemill.transition,
        row(number * 4 - 1, due, 'running', 1, null, null)::tidemill.transition,
        row(number * 4, due + interval '1 s', state, 1, null, reason_code)::tidemill.transition]
from made
