-- A fence for jobs: in a transaction of its own a job asks whether its attempt is still the one that counts. This file
-- needs nothing of the others, so that a database that knows nothing else of Tidemill can have it too (docs/fencing.md).

create schema if not exists tidemill;

create table if not exists tidemill.fences (
    run_id text not null primary key,
    token bigint not null,
    passed_at timestamptz not null default clock_timestamp()
);

create index if not exists fences_by_age on tidemill.fences (passed_at);

comment on table tidemill.fences is 'The highest fencing token that has passed, by run. Written by tidemill.fence_ok alone.';

-- The row is locked until the transaction ends, whatever the answer is: two attempts of a run that want the same thing at
-- the same time come one after the other, and the second one sees what the first one did.
create or replace function tidemill.fence_ok(run_id text, token bigint) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    -- Null is no answer: `if not null` would let everybody pass.
    if coalesce(run_id, '') = '' or token is null or token < 1 then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format(
                'the fence of run "%s" cannot be passed with token "%s": both come from the environment of the process, '
                'as TIDEMILL_RUN_ID and TIDEMILL_FENCING_TOKEN', run_id, token);
    end if;
    insert into tidemill.fences as known (run_id, token)
    values (fence_ok.run_id, fence_ok.token)
    on conflict on constraint fences_pkey do update
        set token = excluded.token, passed_at = clock_timestamp()
        where known.token <= excluded.token;
    return found;
end
$$;

comment on function tidemill.fence_ok is
    'Whether no newer attempt of the run has passed; if so, none with a lesser token passes any more.';

create or replace function tidemill.fence(run_id text, token bigint) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    if not tidemill.fence_ok(run_id, token) then
        raise exception using
            errcode = 'TM001',
            message = format('run %s goes on in a newer attempt: token %s is over', run_id, token),
            hint = 'This attempt was given up as lost. Whatever it still wants to write would be written twice.';
    end if;
end
$$;

comment on function tidemill.fence is 'The same, but what may not pass is an error (SQLSTATE TM001), which ends the transaction.';

-- What is forgotten lets an old token pass, so nothing is forgotten that an attempt could still ask about.
create or replace function tidemill.prune_fences(older_than interval) returns bigint
language plpgsql as $$
declare
    pruned bigint;
begin
    perform set_config('tidemill.keeping', 'on', true);
    delete from tidemill.fences where passed_at < clock_timestamp() - greatest(older_than, interval '7 days');
    get diagnostics pruned = row_count;
    perform set_config('tidemill.keeping', 'off', true);
    return pruned;
end
$$;
