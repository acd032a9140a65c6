-- Backfills: run the occurrences of a range of the past, a few at a time, after all live work.

-- The occurrences in [begin, "end") that are open or have run, by their time as in a run id: how many attempts each one
-- had if it runs again, or null if it does not. The owner of the job or DAG no longer knows this. A DAG run has run if
-- it has opened; its number of attempts is the highest of its nodes.
create function tidemill.ran(owner text, begin timestamptz, "end" timestamptz, reprocess text) returns jsonb
language sql stable
return (
    select coalesce(
        jsonb_object_agg(
            substring(run_id from length(owner) + 2),
            case
                when tidemill.is_open(state) then null
                when reprocess = 'completed' then attempts
                when reprocess = 'failed' and tidemill.is_failure(state) then attempts
            end),
        '{}')
    from (
        select
            split_part(run_id, '/', 1) as run_id,
            max(state) filter (where node_id is null) as state,
            max(attempt) as attempts,
            bool_or(node_id is null and (attempt > 0 or nodes is not null or tidemill.is_open(state))) as is_known
        from tidemill.runs
        where job_id = owner and nominal_time >= begin and nominal_time < "end"
            and starts_with(run_id, owner || '@') and missed_count is null
        group by 1
    ) as occurrence
    where is_known
);

create function tidemill.no_backfill(request tidemill.requests) returns tidemill.requests
language plpgsql immutable as $$
declare
    given text := case
        when request.backfill_from is not null then 'backfill_from'
        when request.backfill_to is not null then 'backfill_to'
        when request.reprocess is not null then 'reprocess'
        when request.max_active_runs is not null then 'max_active_runs'
        when request.run_backwards is not null then 'run_backwards'
        when request.dry_run is not null then 'dry_run'
    end;
begin
    if given is not null then
        perform tidemill.refuse(given, to_json(request) ->> given, 'only kind backfill takes it');
    end if;
    request.ran := null;
    return request;
end
$$;

create function tidemill.check_backfill(request tidemill.requests) returns void
language plpgsql stable as $$
declare
    column_name text;
begin
    foreach column_name in array '{backfill_from,backfill_to}'::text[] loop
        if to_json(request) ->> column_name is null then
            perform tidemill.refuse(column_name, null, 'kind backfill needs it: a time from 1970 to 2199');
        end if;
    end loop;
    perform tidemill.check_instant('backfill_from', request.backfill_from);
    perform tidemill.check_instant('backfill_to', request.backfill_to);
    perform tidemill.check_word('reprocess', request.reprocess, '{none,failed,completed}');
    perform tidemill.check_number('max_active_runs', request.max_active_runs, 1, 1000);
    if request.backfill_from >= request.backfill_to then
        perform tidemill.refuse('backfill_to', request.backfill_to::text, 'it must be later than backfill_from');
    elsif request.backfill_to > clock_timestamp() then
        perform tidemill.refuse(
            'backfill_to', request.backfill_to::text,
            'it must not be later than now: the schedule runs what is due later');
    elsif exists (select from tidemill.jobs where job_id = request.job_id and schedule is null) then
        perform tidemill.refuse('job_id', request.job_id, 'it has no schedule, so nothing was ever due');
    elsif exists (select from tidemill.dags where dag_id = request.dag_id and schedule is null) then
        perform tidemill.refuse('dag_id', request.dag_id, 'it has no schedule, so nothing was ever due');
    end if;
end
$$;

create function tidemill.complete_backfill(request tidemill.requests) returns tidemill.requests
language plpgsql stable as $$
begin
    if request.kind <> 'backfill' then
        return tidemill.no_backfill(request);
    end if;
    request.backfill_from := tidemill.whole_milliseconds(request.backfill_from);
    request.reprocess := coalesce(request.reprocess, 'none');
    request.max_active_runs := coalesce(request.max_active_runs, 1);
    request.run_backwards := coalesce(request.run_backwards, false);
    request.dry_run := coalesce(request.dry_run, false);
    perform tidemill.check_backfill(request);
    request.backfill_to := tidemill.whole_milliseconds(request.backfill_to);
    request.ran := tidemill.ran(request.owner, request.backfill_from, request.backfill_to, request.reprocess);
    if (select count(*) from jsonb_object_keys(request.ran)) > 10000 then
        perform tidemill.refuse(
            'backfill_to', request.backfill_to::text,
            'a backfill covers at most 10000 occurrences, and more than that have run in this range already; '
            'ask for several backfills, each starting where the previous one ends');
    end if;
    return request;
end
$$;

create view tidemill.backfills as
select
    parent.request_id, parent.job_id, parent.run_id, parent.state, parent.reason, parent.reason_code,
    asked.backfill_from, asked.backfill_to, asked.reprocess, asked.max_active_runs, asked.run_backwards, asked.dry_run,
    asked.note, parent.queued_at, parent.finished_at, each.*
from tidemill.runs as parent
left join tidemill.requests as asked on asked.request_id = parent.request_id and asked.owner = parent.job_id
cross join lateral (
    select
        count(*) as runs,
        count(*) filter (where state = 'queued') as queued,
        count(*) filter (where state in ('running', 'retry_wait', 'cancelling')) as running,
        count(*) filter (where state = 'succeeded') as succeeded,
        count(*) filter (where tidemill.is_failure(state)) as failed,
        count(*) filter (where state = 'cancelled') as cancelled
    from tidemill.runs as child
    where child.kind in ('backfilled', 'dag') and child.request_id = parent.request_id
        and child.job_id = parent.job_id
) as each
where parent.kind = 'backfill';

comment on view tidemill.backfills is
    'Each backfill and its progress. A run that another request ran again later no longer counts for the backfill.';
comment on column tidemill.backfills.runs is 'How many runs the backfill has made so far.';
comment on column tidemill.backfills.queued is 'How many of them are queued.';
comment on column tidemill.backfills.running is 'How many of them are running, retry_wait or cancelling.';
comment on column tidemill.backfills.succeeded is 'How many of them succeeded.';
comment on column tidemill.backfills.failed is 'How many of them ended failed, timed_out, dead or upstream_failed.';
comment on column tidemill.backfills.cancelled is 'How many of them were cancelled.';
