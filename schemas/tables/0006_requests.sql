-- Requests: run a job or DAG, stop a run, run it again, mark a node, or backfill. The primary key is the idempotency
-- key: a request id is unique within its job or DAG, as in the topic `requests`. A row never changes.

create table tidemill.requests (
    request_id text not null,
    kind text not null default 'run',
    job_id text,
    dag_id text,
    run_id text,
    run_at timestamptz,
    payload json,
    note text,
    traceparent text,
    backfill_from timestamptz,
    backfill_to timestamptz,
    reprocess text,
    max_active_runs int,
    run_backwards bool,
    dry_run bool,
    ran jsonb,
    nominal_time timestamptz,
    attempt int not null default 0,
    downstream bool not null default false,
    mark_as text,
    nodes json,
    seen_version bigint not null default 0,
    owner text not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (request_id, owner)
);

create index requests_by_age on tidemill.requests (created_at);

comment on table tidemill.requests is
    'Insert a row to run, stop, rerun or mark something, or to backfill; you may do so in the transaction of your '
    'data.';
comment on column tidemill.requests.request_id is
    'Idempotency key: of all requests for one job or DAG with the same id, only the first takes effect.';
comment on column tidemill.requests.kind is
    'run: run job_id or dag_id; cancel, terminate: stop run_id, or without it all open runs; rerun: run run_id '
    'again; mark: count the node run_id as mark_as; backfill: run the occurrences in [backfill_from, backfill_to). '
    'Default: run.';
comment on column tidemill.requests.job_id is 'The job; set job_id or dag_id, or neither if run_id is set.';
comment on column tidemill.requests.dag_id is 'The DAG; set job_id or dag_id, or neither if run_id names a job''s run.';
comment on column tidemill.requests.run_id is
    'The run to stop, rerun or mark; null with cancel and terminate: all open runs of the job or DAG.';
comment on column tidemill.requests.run_at is 'kind run: the earliest start; null: now.';
comment on column tidemill.requests.payload is
    'kind run: JSON of at most 256 KB for the process; null: the payload of the job or of each node. kinds rerun '
    'and mark: null keeps the payload of the request that started the run.';
comment on column tidemill.requests.note is
    'Why, at most 1000 characters; it becomes the reason of what the request does.';
comment on column tidemill.requests.traceparent is
    'kind run: the traceparent (W3C Trace Context) of what causes the request; the run becomes a part of that trace. '
    'kinds rerun and mark: null keeps that of the run.';
comment on column tidemill.requests.backfill_from is 'kind backfill: the first nominal time, included.';
comment on column tidemill.requests.backfill_to is
    'kind backfill: the end of the nominal times, excluded; not later than now.';
comment on column tidemill.requests.reprocess is
    'kind backfill: which occurrences that have had an attempt run again: none, failed or completed. Default: none.';
comment on column tidemill.requests.max_active_runs is
    'kind backfill: how many of its runs are active at once, 1 to 1000. Default: 1.';
comment on column tidemill.requests.run_backwards is
    'kind backfill: true starts with the newest occurrence. Default: false.';
comment on column tidemill.requests.dry_run is
    'kind backfill: true runs nothing; the reason of the run <job_id or dag_id>#<request_id> says what would run. '
    'Default: false.';
comment on column tidemill.requests.ran is
    'Set by trigger, kind backfill: the occurrences that are open or have run (tidemill.ran).';
comment on column tidemill.requests.nominal_time is
    'Set by trigger, kinds rerun and mark: the nominal time of the run.';
comment on column tidemill.requests.attempt is 'Set by trigger, kind rerun: how many attempts the run has had.';
comment on column tidemill.requests.downstream is
    'kind rerun of a DAG run or node: true also runs again all nodes that depend on it, even if they succeeded. '
    'Default: false.';
comment on column tidemill.requests.mark_as is 'kind mark: what the node counts as, succeeded or skipped.';
comment on column tidemill.requests.nodes is
    'Set by trigger, kinds rerun and mark of a DAG run that has ended: the ends of its nodes.';
comment on column tidemill.requests.seen_version is
    'Set by trigger, with nodes: the version of the DAG run''s row from which they were read.';
comment on column tidemill.requests.owner is 'Set by trigger: job_id or dag_id; it decides the partition.';
comment on column tidemill.requests.created_at is
    'When the request was made; a later time than now is set to now. Default: now.';

create function tidemill.owner_of_run(run_id text) returns text
language sql immutable parallel safe
return substring(run_id from '^([^@#]+)[@#].');

-- `schemas.request_rules.check_run_id` is the same check in Python.
create function tidemill.check_run_id(run_id text) returns void
language plpgsql immutable as $$
begin
    if length(run_id) > 700 then
        perform tidemill.refuse('run_id', run_id, 'a run id has at most 700 characters');
    elsif tidemill.owner_of_run(run_id) is null then
        perform tidemill.refuse(
            'run_id', run_id,
            'a run id is <job_id or dag_id>@<nominal time> or <job_id or dag_id>#<request_id>, '
            'and for a node also /<node_id>');
    elsif strpos(run_id, '/') > 0 and not tidemill.is_id(substr(run_id, strpos(run_id, '/') + 1)) then
        perform tidemill.refuse(
            'run_id', run_id,
            'after the / of a run id comes the id of one node: 1 to 200 characters, no control characters and none '
            'of @ # / ~');
    end if;
end
$$;

-- `schemas.request_rules.check_traceparent` is the same check in Python.
create function tidemill.check_traceparent(traceparent text) returns void
language plpgsql immutable as $$
begin
    if traceparent !~ '^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$' then
        perform tidemill.refuse(
            'traceparent', traceparent,
            'it must be 00-<trace id>-<span id>-<flags>, of 32, 16 and 2 digits from 0 to f in lower case, and no id of '
            'zeros alone');
    end if;
end
$$;

create function tidemill.check_request_kind(request tidemill.requests) returns void
language plpgsql immutable as $$
begin
    if request.kind = 'run' and request.run_id is not null then
        perform tidemill.refuse(
            'run_id', request.run_id,
            'kind run does not take it: the id of the new run is <job_id or dag_id>#<request_id>');
    elsif request.kind = 'rerun' and request.run_id is null then
        perform tidemill.refuse('run_id', null, 'kind rerun needs the id of the run to run again');
    elsif request.kind = 'backfill' and request.run_id is not null then
        perform tidemill.refuse('run_id', request.run_id, 'kind backfill does not take it: the schedule decides its runs');
    elsif request.kind <> 'run' and request.run_at is not null then
        perform tidemill.refuse('run_at', request.run_at::text, 'only kind run takes it');
    elsif request.kind not in ('run', 'rerun', 'mark') and request.payload is not null then
        perform tidemill.refuse('payload', request.payload::text, 'only kinds run, rerun and mark take it');
    elsif request.kind not in ('run', 'rerun', 'mark') and request.traceparent is not null then
        perform tidemill.refuse('traceparent', request.traceparent, 'only kinds run, rerun and mark take it');
    elsif request.kind = 'mark' and strpos(coalesce(request.run_id, ''), '/') = 0 then
        perform tidemill.refuse('run_id', request.run_id, 'kind mark needs the run id of a node: <DAG run>/<node_id>');
    elsif request.kind = 'mark' and request.mark_as is null then
        perform tidemill.refuse('mark_as', null, 'kind mark needs it; allowed are succeeded, skipped');
    elsif request.kind <> 'mark' and request.mark_as is not null then
        perform tidemill.refuse('mark_as', request.mark_as, 'only kind mark takes it');
    elsif request.kind <> 'rerun' and request.downstream then
        perform tidemill.refuse('downstream', 'true', 'only kind rerun takes it');
    elsif tidemill.owner_of_run(request.run_id) <> request.owner then
        perform tidemill.refuse(
            case when request.dag_id is null then 'job_id' else 'dag_id' end, request.owner,
            format('run %s belongs to %s', request.run_id, tidemill.owner_of_run(request.run_id)));
    end if;
end
$$;

-- A request must say whether it is for a job or a DAG, because that may not exist yet: the request then waits for it.
-- The wrong one of job_id and dag_id is refused at once. Cancel and terminate may name a DAG in job_id.
create function tidemill.check_request_owner(request tidemill.requests) returns void
language plpgsql stable as $$
begin
    if request.dag_id is not null then
        if exists (select from tidemill.jobs where job_id = request.dag_id) then
            perform tidemill.refuse('dag_id', request.dag_id, 'it is a job; name it in job_id');
        end if;
    elsif request.kind in ('run', 'backfill') and exists (select from tidemill.dags where dag_id = request.job_id) then
        perform tidemill.refuse('job_id', request.job_id, 'it is a DAG; name it in dag_id');
    end if;
    if not exists (select from tidemill.definitions where owner = request.owner)
        and not exists (select from tidemill.dags where dag_id = request.owner) then
        raise warning 'there is no job or DAG %: unless it is defined within a minute, request % is refused',
            request.owner, request.request_id;
    end if;
end
$$;

create function tidemill.with_first_payload(request tidemill.requests, first_request text) returns tidemill.requests
language plpgsql stable as $$
begin
    if request.payload is null and first_request is not null then
        select payload into request.payload from tidemill.requests where request_id = first_request and owner = request.owner;
        if not found then
            perform tidemill.refuse(
                'payload', null,
                format(
                    'the row of request %s was removed, or the request came through the topic; set the payload, '
                    'or ''null'' for the payload of the job',
                    first_request));
        end if;
    end if;
    return request;
end
$$;

-- Adds the ends of the nodes, if the DAG run has ended: its owner keeps only open DAG runs. The sink writes the end of
-- a DAG run after the ends of its nodes.
create function tidemill.complete_node_order(request tidemill.requests) returns tidemill.requests
language plpgsql stable as $$
declare
    whole text := split_part(request.run_id, '/', 1);
    node text := nullif(split_part(request.run_id, '/', 2), '');
    run record;
    known bigint;
    had bigint;
begin
    select state, nominal_time, request_id, traceparent, version, nodes into run
    from tidemill.runs where run_id = whole and kind = 'dag';
    if not found then
        perform tidemill.refuse('run_id', request.run_id, 'there is no DAG run ' || whole);
    elsif node is not null
        and not exists (select from tidemill.dag_nodes where dag_id = request.owner and node_id = node)
        and not exists (select from tidemill.runs where run_id = request.run_id and nominal_time = run.nominal_time) then
        perform tidemill.refuse('run_id', request.run_id, format('DAG %s has no node %s', request.owner, node));
    end if;
    request.nominal_time := run.nominal_time;
    if tidemill.is_open(run.state) then
        return request;
    end if;
    request.traceparent := coalesce(request.traceparent, run.traceparent);
    request.seen_version := run.version;
    select coalesce(json_object_agg(node_id, tidemill.node_end(seen)), '{}') into request.nodes
    from tidemill.runs as seen
    where job_id = request.owner and nominal_time = run.nominal_time
        and kind = 'node' and starts_with(run_id, whole || '/');
    -- A node whose row is gone would run again, even if it had succeeded.
    select count(*) into known from json_object_keys(request.nodes);
    select sum(value::bigint) into had from jsonb_each_text(run.nodes);
    if known < had and not (request.downstream and node is null) then
        perform tidemill.refuse('run_id', request.run_id, format(
            '%s of the %s nodes of %s have no history any more; set downstream to run all nodes again',
            had - known, had, whole));
    end if;
    perform tidemill.check_size('nodes', request.nodes::text, 8 * 1024);
    return tidemill.with_first_payload(request, run.request_id);
end
$$;

-- Adds what the run's owner no longer knows after the run has ended, from the read model. A run that waits for its next
-- attempt (retry_wait) gets that attempt now.
create function tidemill.complete_rerun(request tidemill.requests) returns tidemill.requests
language plpgsql stable as $$
declare
    run record;
begin
    select kind, state, missed_count, nominal_time, attempt, request_id, traceparent into run
    from tidemill.runs where run_id = request.run_id;
    if not found then
        perform tidemill.refuse('run_id', request.run_id, 'there is no such run');
    elsif tidemill.is_open(run.state) and (run.state <> 'retry_wait' or request.downstream) then
        perform tidemill.refuse(
            'run_id', request.run_id,
            'it is ' || run.state || '; only a run that has ended, or that waits for its next attempt, can run again');
    elsif run.state = 'retry_wait' then
        return request;  -- its owner still knows the run
    elsif run.kind = 'backfill' then
        perform tidemill.refuse(
            'run_id', request.run_id, 'it is a backfill; insert another request of kind backfill instead');
    elsif run.missed_count > 1 then
        perform tidemill.refuse(
            'run_id', request.run_id,
            'it stands for ' || run.missed_count || ' occurrences; run them with a backfill instead');
    elsif run.kind in ('dag', 'node') then
        return tidemill.complete_node_order(request);
    elsif request.downstream then
        perform tidemill.refuse('downstream', 'true', format('run %s does not belong to a DAG', request.run_id));
    end if;
    request.nominal_time := run.nominal_time;
    request.attempt := run.attempt;
    request.traceparent := coalesce(request.traceparent, run.traceparent);
    return tidemill.with_first_payload(request, run.request_id);
end
$$;

-- The checks that depend on the current rows, and the values that the owner does not know.
create function tidemill.complete_request(request tidemill.requests) returns tidemill.requests
language plpgsql stable as $$
begin
    perform tidemill.check_request_owner(request);
    if request.kind = 'rerun' then
        request := tidemill.complete_rerun(request);
    elsif request.kind = 'mark' then
        request := tidemill.complete_node_order(request);
    end if;
    return tidemill.complete_backfill(request);
end
$$;

create function tidemill.accepted_request(new tidemill.requests) returns tidemill.requests
language plpgsql volatile as $$
begin
    perform tidemill.check_id('request_id', new.request_id);
    perform tidemill.check_word('kind', new.kind, '{run,cancel,terminate,rerun,backfill,mark}');
    if new.run_id is not null then
        perform tidemill.check_run_id(new.run_id);
    end if;
    if new.job_id is not null and new.dag_id is not null then
        perform tidemill.refuse('dag_id', new.dag_id, 'job_id is ' || new.job_id || '; a request may name only one of them');
    elsif new.dag_id is null then
        new.job_id := coalesce(new.job_id, tidemill.owner_of_run(new.run_id));
    end if;
    new.owner := coalesce(new.dag_id, new.job_id);
    if new.owner is null then
        perform tidemill.refuse(
            'job_id', null, 'a request needs job_id or dag_id; both may be null only if run_id is set');
    end if;
    -- The job or DAG need not exist yet: the request waits for its definition for a minute.
    perform tidemill.check_id(case when new.dag_id is null then 'job_id' else 'dag_id' end, new.owner);
    perform tidemill.check_instant('run_at', new.run_at);
    new.payload := tidemill.normal_json(new.payload);
    perform tidemill.check_json('payload', new.payload, 256);
    perform tidemill.check_word('mark_as', coalesce(new.mark_as, 'skipped'), '{succeeded,skipped}');
    if length(new.note) > 1000 then
        perform tidemill.refuse('note', new.note, 'a note has at most 1000 characters');
    end if;
    perform tidemill.check_traceparent(new.traceparent);
    perform tidemill.check_request_kind(new);
    new.nominal_time := null;
    new.attempt := 0;
    new.nodes := null;
    new.seen_version := 0;
    new.ran := null;
    -- A repeated request was accepted before; only the primary key decides, not the present state of its run.
    if not exists (
        select from tidemill.requests as known where known.request_id = new.request_id and known.owner = new.owner
    ) then
        new := tidemill.complete_request(new);
    end if;
    new.run_at := tidemill.whole_milliseconds(new.run_at);
    -- A request from the future would move the horizon below which the streams refuse requests (protocol I5).
    new.created_at := least(new.created_at, clock_timestamp());
    perform tidemill.check_instant('created_at', new.created_at);
    return new;
end
$$;

create function tidemill.request_before_insert() returns trigger
language plpgsql as $$
declare
    said text;
    named text;
begin
    return tidemill.accepted_request(new);
-- Raise it again, as in `job_before_change`.
exception when check_violation then
    get stacked diagnostics said = message_text, named = column_name;
    raise exception using errcode = 'check_violation', message = said, schema = 'tidemill', column = named;
end
$$;

create trigger request_before_insert before insert on tidemill.requests
for each row execute function tidemill.request_before_insert();

create trigger request_before_change before update or delete on tidemill.requests
for each row execute function tidemill.refuse_statement(
    'an accepted request never changes; tidemill.prune_requests(older_than) removes old requests');

create trigger requests_no_truncate before truncate on tidemill.requests
for each statement execute function tidemill.refuse_statement(
    'an accepted request never changes; tidemill.prune_requests(older_than) removes old requests');

-- A request with run_at is kept until run_at is older than `older_than`.
create function tidemill.prune_requests(older_than interval) returns bigint
language plpgsql as $$
declare
    oldest_kept timestamptz := tidemill.captured_until() - older_than;
    pruned bigint;
begin
    perform set_config('tidemill.pruning', 'on', true);
    delete from tidemill.requests
    where created_at < oldest_kept and (run_at is null or run_at < oldest_kept);
    get diagnostics pruned = row_count;
    perform set_config('tidemill.pruning', 'off', true);
    return pruned;
end
$$;
