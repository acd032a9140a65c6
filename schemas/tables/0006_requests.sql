-- Requests: run a job or DAG, stop a run, run it again, let a node count, run what was due in the past. The primary key is the
-- idempotency key: an id is one of its job's or DAG's, as it is in the topic `requests`. A row is never changed.

create table tidemill.requests (
    request_id text not null,
    kind text not null default 'run',
    job_id text,
    dag_id text,
    run_id text,
    run_at timestamptz,
    payload json,
    note text,
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
    'Insert a row to run a job or a DAG once, in the same transaction as the data it is about if you like.';
comment on column tidemill.requests.kind is
    'run: run job_id or dag_id; cancel, terminate: stop run_id, or without one all that is open; rerun: run run_id again; '
    'mark: the node run_id counts as mark_as; '
    'backfill: run what was due in [backfill_from, backfill_to).';
comment on column tidemill.requests.job_id is 'It or dag_id; both may be left out where run_id is given.';
comment on column tidemill.requests.run_at is 'Null: now.';
comment on column tidemill.requests.payload is
    'Of run; null: the payload of the job, or of each node. Of rerun and mark; null: that of the request that the run came '
    'from.';
comment on column tidemill.requests.downstream is
    'Of rerun of a DAG run or node: with what depends on it, also where that succeeded.';
comment on column tidemill.requests.mark_as is 'Of mark: succeeded or skipped.';
comment on column tidemill.requests.note is 'Why; it becomes the reason of what the request does.';
comment on column tidemill.requests.reprocess is
    'Of backfill, what has had an attempt: none runs again (the default), those that failed, or all that completed.';
comment on column tidemill.requests.max_active_runs is 'Of backfill: so many of its runs at a time; 1 by default.';
comment on column tidemill.requests.run_backwards is 'Of backfill: the newest first.';
comment on column tidemill.requests.dry_run is
    'Of backfill: nothing runs; the reason of the run <job_id or dag_id>#<request_id> says what would.';
comment on column tidemill.requests.ran is 'Set by trigger, of backfill: what has run already (tidemill.ran).';
comment on column tidemill.requests.nominal_time is 'Set by trigger, of rerun and mark: that of the run.';
comment on column tidemill.requests.nodes is
    'Set by trigger, of rerun and mark in a DAG run that has ended: what became of its nodes.';
comment on column tidemill.requests.seen_version is
    'Set by trigger, with nodes: the version of the DAG run that they were seen with.';
comment on column tidemill.requests.attempt is 'Set by trigger, of rerun: the attempts that the run has had.';
comment on column tidemill.requests.owner is 'Set by trigger: what places the request in a partition.';

create function tidemill.owner_of_run(run_id text) returns text
language sql immutable parallel safe
return substring(run_id from '^([^@#]+)[@#].');

-- The same in Python is `schemas.request_rules.check_run_id`.
create function tidemill.check_run_id(run_id text) returns void
language plpgsql immutable as $$
begin
    if length(run_id) > 700 then
        perform tidemill.refuse('run_id', run_id, 'a run id has at most 700 characters');
    elsif tidemill.owner_of_run(run_id) is null then
        perform tidemill.refuse(
            'run_id', run_id,
            'a run id is <job_id>@<nominal time> or <job_id>#<request_id>, of a DAG with its dag_id, '
            'of a node with /<node_id> behind it');
    elsif strpos(run_id, '/') > 0 and not tidemill.is_id(substr(run_id, strpos(run_id, '/') + 1)) then
        perform tidemill.refuse(
            'run_id', run_id,
            'behind the / of a run id comes the id of one node: 1 to 200 characters, no control characters and none '
            'of @ # / ~');
    end if;
end
$$;

create function tidemill.check_request_kind(request tidemill.requests) returns void
language plpgsql immutable as $$
begin
    if request.kind = 'run' and request.run_id is not null then
        perform tidemill.refuse('run_id', request.run_id, 'kind run has none: it is <job_id or dag_id>#<request_id>');
    elsif request.kind = 'rerun' and request.run_id is null then
        perform tidemill.refuse('run_id', null, 'kind rerun needs the run that is to run again');
    elsif request.kind = 'backfill' and request.run_id is not null then
        perform tidemill.refuse('run_id', request.run_id, 'kind backfill has none: its runs follow from the schedule');
    elsif request.kind <> 'run' and request.run_at is not null then
        perform tidemill.refuse('run_at', request.run_at::text, 'only kind run has it');
    elsif request.kind not in ('run', 'rerun', 'mark') and request.payload is not null then
        perform tidemill.refuse('payload', request.payload::text, 'only kinds run, rerun and mark have it');
    elsif request.kind = 'mark' and strpos(coalesce(request.run_id, ''), '/') = 0 then
        perform tidemill.refuse('run_id', request.run_id, 'kind mark needs that of a node: <DAG run>/<node_id>');
    elsif request.kind = 'mark' and request.mark_as is null then
        perform tidemill.refuse('mark_as', null, 'kind mark needs it: succeeded or skipped');
    elsif request.kind <> 'mark' and request.mark_as is not null then
        perform tidemill.refuse('mark_as', request.mark_as, 'only kind mark has it');
    elsif request.kind <> 'rerun' and request.downstream then
        perform tidemill.refuse('downstream', 'true', 'only kind rerun has it');
    elsif tidemill.owner_of_run(request.run_id) <> request.owner then
        perform tidemill.refuse(
            case when request.dag_id is null then 'job_id' else 'dag_id' end, request.owner,
            format('run %s is one of %s', request.run_id, tidemill.owner_of_run(request.run_id)));
    end if;
end
$$;

-- Which of job_id and dag_id it is has to be said, for it may be asked for before it exists. What is said wrong waits for
-- nothing. A stop names the runs of either.
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
                    'request %s is no row any more, or came by topic: give its payload, or ''null'' for that of the job',
                    first_request));
        end if;
    end if;
    return request;
end
$$;

-- A DAG run that is open is known to its owner, which has forgotten all nodes of one that has ended. The sink writes the
-- end of a DAG run after that of its nodes.
create function tidemill.complete_node_order(request tidemill.requests) returns tidemill.requests
language plpgsql stable as $$
declare
    whole text := split_part(request.run_id, '/', 1);
    node text := nullif(split_part(request.run_id, '/', 2), '');
    run record;
    known bigint;
    had bigint;
begin
    select state, nominal_time, request_id, version, nodes into run
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
    request.seen_version := run.version;
    select coalesce(json_object_agg(node_id, tidemill.node_end(seen)), '{}') into request.nodes
    from tidemill.runs as seen
    where job_id = request.owner and nominal_time = run.nominal_time
        and kind = 'node' and starts_with(run_id, whole || '/');
    -- What is not known would run again, also where it had succeeded.
    select count(*) into known from json_object_keys(request.nodes);
    select sum(value::bigint) into had from jsonb_each_text(run.nodes);
    if known < had and not (request.downstream and node is null) then
        perform tidemill.refuse('run_id', request.run_id, format(
            'of the %s nodes of %s the history of %s is gone; with downstream all of it runs again', had, whole, had - known));
    end if;
    perform tidemill.check_size('nodes', request.nodes::text, 8 * 1024);
    return tidemill.with_first_payload(request, run.request_id);
end
$$;

-- The owner of a run forgets it when it has ended, so what it needs of it comes from the read model. One that waits for its
-- next attempt has it now.
create function tidemill.complete_rerun(request tidemill.requests) returns tidemill.requests
language plpgsql stable as $$
declare
    run record;
begin
    select kind, state, missed_count, nominal_time, attempt, request_id into run
    from tidemill.runs where run_id = request.run_id;
    if not found then
        perform tidemill.refuse('run_id', request.run_id, 'there is no such run');
    elsif tidemill.is_open(run.state) and (run.state <> 'retry_wait' or request.downstream) then
        perform tidemill.refuse(
            'run_id', request.run_id,
            'it is ' || run.state || '; only what has ended, or waits for its next attempt, can run again');
    elsif run.state = 'retry_wait' then
        return request;  -- its owner knows all of it
    elsif run.kind = 'backfill' then
        perform tidemill.refuse('run_id', request.run_id, 'it is a backfill; ask for another one instead');
    elsif run.missed_count > 1 then
        perform tidemill.refuse('run_id', request.run_id, 'it stands for ' || run.missed_count || ' occurrences');
    elsif run.kind in ('dag', 'node') then
        return tidemill.complete_node_order(request);
    elsif request.downstream then
        perform tidemill.refuse('downstream', 'true', format('%s is no run of a DAG', request.run_id));
    end if;
    request.nominal_time := run.nominal_time;
    request.attempt := run.attempt;
    return tidemill.with_first_payload(request, run.request_id);
end
$$;

-- What depends on what is there at this moment: whether the request can be carried out, and what its owner does not know.
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
        perform tidemill.refuse('dag_id', new.dag_id, 'job_id is ' || new.job_id || '; a request is for one of them');
    elsif new.dag_id is null then
        new.job_id := coalesce(new.job_id, tidemill.owner_of_run(new.run_id));
    end if;
    new.owner := coalesce(new.dag_id, new.job_id);
    if new.owner is null then
        perform tidemill.refuse(
            'job_id', null, 'it or dag_id is needed; both may be left out only where run_id is given');
    end if;
    -- The job or DAG need not exist yet: a request waits for its definition, for a while.
    perform tidemill.check_id(case when new.dag_id is null then 'job_id' else 'dag_id' end, new.owner);
    perform tidemill.check_instant('run_at', new.run_at);
    new.payload := tidemill.normal_json(new.payload);
    perform tidemill.check_json('payload', new.payload, 256);
    perform tidemill.check_word('mark_as', coalesce(new.mark_as, 'skipped'), '{succeeded,skipped}');
    if length(new.note) > 1000 then
        perform tidemill.refuse('note', new.note, 'a note has at most 1000 characters');
    end if;
    perform tidemill.check_request_kind(new);
    new.nominal_time := null;
    new.attempt := 0;
    new.nodes := null;
    new.seen_version := 0;
    new.ran := null;
    -- One that comes again was accepted, whatever has become of its run since: the primary key decides.
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
-- Raised again, as in `job_before_change`.
exception when check_violation then
    get stacked diagnostics said = message_text, named = column_name;
    raise exception using errcode = 'check_violation', message = said, schema = 'tidemill', column = named;
end
$$;

create trigger request_before_insert before insert on tidemill.requests
for each row execute function tidemill.request_before_insert();

create trigger request_before_change before update or delete on tidemill.requests
for each row execute function tidemill.refuse_statement(
    'a request is accepted once and for all; old ones go by tidemill.prune_requests(older_than)');

create trigger requests_no_truncate before truncate on tidemill.requests
for each statement execute function tidemill.refuse_statement(
    'a request is accepted once and for all; old ones go by tidemill.prune_requests(older_than)');

-- A request for a later time is kept until that time is older than the time to live.
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
