-- Fencing for jobs: a job asks in its own transaction whether its attempt is still the current one. This file uses no
-- other file, so that any other database can have the fence too (docs/fencing.md).

create schema if not exists tidemill;

create table if not exists tidemill.fences (
    run_id text not null primary key,
    token bigint not null,
    passed_at timestamptz not null default clock_timestamp()
);

create index if not exists fences_by_age on tidemill.fences (passed_at);

comment on table tidemill.fences is
    'The highest fencing token that has passed, for each run. Only tidemill.fence_ok writes it.';

-- The row stays locked until the transaction ends, whatever the answer is: of two attempts of a run, the second waits
-- for the first and sees its changes.
create or replace function tidemill.fence_ok(run_id text, token bigint) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    -- Refuse null, because `if not null` would let every caller pass.
    if coalesce(run_id, '') = '' or token is null or token < 1 then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format(
                'run_id is "%s" and token is "%s": pass the values of the environment variables TIDEMILL_RUN_ID and '
                'TIDEMILL_FENCING_TOKEN; the token is at least 1', run_id, token);
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
    'True if no newer attempt of the run has passed; from then on no lower token passes.';

create or replace function tidemill.fence(run_id text, token bigint) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    if not tidemill.fence_ok(run_id, token) then
        raise exception using
            errcode = 'TM001',
            message = format('run %s has a newer attempt: token %s is no longer valid', run_id, token),
            hint = 'Tidemill gave this attempt up as lost. Roll back and exit: the newer attempt writes the same data.';
    end if;
end
$$;

comment on function tidemill.fence is
    'Like tidemill.fence_ok, but an attempt that may not pass gets the error TM001, which ends its transaction.';

-- Without its row an old token would pass, so a row stays for at least 7 days; no old attempt runs that long.
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
