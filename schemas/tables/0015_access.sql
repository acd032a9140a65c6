-- Who may do what: the roles, the tenants of each role, and the checks that refuse with a sentence. `tidemill migrate`
-- makes the roles, their rights and their policies (connectors/roles.py), because their names are settings. A policy hides
-- rows of other tenants; what it would refuse, a trigger has refused before, with a sentence. These triggers run as the
-- user of the statement, so current_user is whom they judge. The triggers that write elsewhere run as the owner.

comment on column tidemill.jobs.tenant is
    'The tenant to which the job belongs; tidemill.members says which roles may see and change it. Default: default.';
comment on column tidemill.dags.tenant is
    'The tenant to which the DAG belongs; tidemill.members says which roles may see and change it. Default: default.';

create table tidemill.roles (
    kind text not null primary key,
    name text not null unique
);

comment on table tidemill.roles is 'The names of the roles of this deployment; `tidemill migrate` writes it.';
comment on column tidemill.roles.kind is 'reader, operator, writer, admin, or the process that logs in as it.';
comment on column tidemill.roles.name is 'The name of the role in Postgres.';

create trigger kept before insert or update or delete or truncate on tidemill.roles
for each statement when (pg_trigger_depth() = 0 and current_setting('tidemill.keeping', true) is distinct from 'on')
execute function tidemill.refuse_statement('`tidemill migrate` writes it, and gives these roles their rights');

create table tidemill.members (
    role text not null,
    tenant text not null,
    may text not null default 'read',
    primary key (role, tenant)
);

comment on table tidemill.members is
    'Which tenants a role may read, operate or write; without a row it sees nothing. Admins need no row.';
comment on column tidemill.members.role is
    'A role of Postgres; what it may also holds for its members. It needs the role reader, operator or writer too.';
comment on column tidemill.members.tenant is 'A tenant of jobs and DAGs, or * for all.';
comment on column tidemill.members.may is
    'read: see; operate: also run, stop, rerun, mark, backfill, pause and resume; write: also change jobs and DAGs. '
    'Default: read.';

create function tidemill.member_before_change() returns trigger
language plpgsql as $$
begin
    if new.tenant <> '*' then
        perform tidemill.check_id('tenant', new.tenant);
    end if;
    perform tidemill.check_word('may', new.may, '{read,operate,write}');
    if not exists (select from pg_catalog.pg_roles where rolname = new.role) then
        perform tidemill.refuse('role', new.role, 'there is no such role; create it first');
    end if;
    return new;
end
$$;

create trigger member_before_change before insert or update on tidemill.members
for each row execute function tidemill.member_before_change();

-- The tenant of each id stays when its job or DAG is deleted: its history belongs to that tenant.
alter table tidemill.owners add column tenant text;
create index owners_by_tenant on tidemill.owners (tenant);

create function tidemill.owner_before_change() returns trigger
language plpgsql as $$
begin
    new.tenant := coalesce(
        (select tenant from tidemill.jobs where job_id = new.owner),
        (select tenant from tidemill.dags where dag_id = new.owner),
        new.tenant);
    return new;
end
$$;

create trigger owner_before_change before insert or update on tidemill.owners
for each row execute function tidemill.owner_before_change();

-- An update of a job writes no row of owners, and a DAG has none before its commit.
create function tidemill.tenant_after_change() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    update tidemill.owners set tenant = new.tenant where owner = new.job_id;
    return null;
end
$$;

create trigger tenant_after_change after update on tidemill.jobs
for each row when (old.tenant <> new.tenant) execute function tidemill.tenant_after_change();

select set_config('tidemill.keeping', 'on', true);
update tidemill.owners as known
set tenant = (
    select spec ->> 'tenant' from tidemill.definitions as each
    where each.owner = known.owner and spec is not null
    order by version desc limit 1
);
select set_config('tidemill.keeping', 'off', true);

create function tidemill.is_owner(who name) returns bool
language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp as $$
begin
    return pg_has_role(who, (select relowner from pg_class where oid = 'tidemill.jobs'::regclass), 'USAGE');
end
$$;

create function tidemill.has_kind(who name, kinds text[]) returns bool
language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp as $$
begin
    return exists (
        select from tidemill.roles as known join pg_roles as each on each.rolname = known.name
        where known.kind = any (kinds) and pg_has_role(who, each.oid, 'USAGE'));
end
$$;

-- The tenants in which the role may read, operate or write; {*} means all. The API and the web page log in as themselves and
-- set a role with `set local role`; then the setting tidemill.tenants names the tenants. For any other session the setting
-- means nothing.
create function tidemill.tenants_of(who name, wanted text) returns text[]
language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
    door bool := who <> session_user and exists (
        select from tidemill.roles where name = session_user and kind in ('api', 'web'));
begin
    if tidemill.is_owner(who) or tidemill.has_kind(who, '{admin,web}') then
        return '{*}';
    elsif not door then
        return array(
            select member.tenant
            from tidemill.members as member join pg_roles as each on each.rolname = member.role
            where pg_has_role(who, each.oid, 'USAGE') and case wanted
                when 'read' then true when 'operate' then member.may <> 'read' else member.may = 'write' end
            order by 1);
    elsif tidemill.has_kind(who, array[case wanted when 'read' then 'reader' when 'operate' then 'operator' else 'writer' end]) then
        return coalesce(nullif(current_setting('tidemill.tenants', true), ''), '{}')::text[];
    end if;
    return '{}';
end
$$;

-- It reads tidemill.members as the user of the statement, who sees his own rows of it.
create function tidemill.my_tenants(wanted text) returns text[]
language sql stable parallel safe
return tidemill.tenants_of(current_user, wanted);

create function tidemill.is_among(tenant text, tenants text[]) returns bool
language sql immutable parallel safe
return coalesce(tenant = any (tenants), false) or '*' = any (tenants);

create function tidemill.shown_tenants(tenants text[]) returns text
language sql immutable parallel safe
return case cardinality(tenants)
    when 0 then 'no tenant'
    when 1 then case tenants[1] when '*' then 'every tenant' else 'tenant ' || tenants[1] end
    else 'tenants ' || array_to_string(tenants[:10], ', ') || case when cardinality(tenants) > 10 then ', …' else '' end
end;

create function tidemill.refuse_access(column_name text, value text, allowed text) returns void
language plpgsql as $$
begin
    raise exception using
        errcode = 'insufficient_privilege',
        message = format('%s is %s: %s', column_name, tidemill.quoted(value), allowed),
        schema = 'tidemill',
        column = column_name;
end
$$;

-- Whether another tenant has or had a job or DAG of this id. It sees all rows, because ids are one name space of all.
create function tidemill.is_taken(of_owner text, mine text[]) returns bool
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select exists (select from tidemill.owners where owner = of_owner and not tidemill.is_among(tenant, mine))
        or exists (select from tidemill.dags where dag_id = of_owner and not tidemill.is_among(tenant, mine))
$$;

-- The settings with which our own functions write past their checks have no effect for others.
create function tidemill.forget_exceptions() returns void
language sql volatile as $$
    select set_config('tidemill.numbering', 'off', true), set_config('tidemill.compiling', 'off', true)
$$;

-- Refuses a change of a job or DAG. Of an insert the old id and tenant are null, of a deletion the new ones.
create function tidemill.check_access(
    id_column text, old_id text, new_id text, old_tenant text, new_tenant text, only_operates bool
) returns void
language plpgsql stable as $$
declare
    mine text[] := tidemill.my_tenants('write');
    so text := format('role %s may write jobs and DAGs of %s', current_user, tidemill.shown_tenants(mine));
begin
    if old_id is not null and not tidemill.is_among(old_tenant, mine) then
        if not tidemill.is_among(old_tenant, tidemill.my_tenants('operate')) then
            perform tidemill.refuse_access(id_column, old_id, format('it belongs to tenant %s; %s', old_tenant, so));
        elsif only_operates then
            return;
        end if;
        perform tidemill.refuse_access(id_column, old_id, format(
            'it belongs to tenant %s; %s, and of this one it may change only paused, paused_note, resumed_at and '
            'catchup_after_pause', old_tenant, so));
    elsif new_id is not null and not tidemill.is_among(new_tenant, mine) then
        perform tidemill.refuse_access('tenant', new_tenant, so || '; an admin adds tenants in tidemill.members');
    elsif new_id is distinct from old_id and tidemill.is_taken(new_id, mine) then
        perform tidemill.refuse_access(id_column, new_id, 'another tenant has or had a job or DAG of this id; choose another id');
    end if;
end
$$;

-- The same columns are granted to operators (connectors/roles.py).
create function tidemill.only_operates(old_row jsonb, new_row jsonb) returns bool
language sql immutable parallel safe
return old_row - '{paused,paused_note,resumed_at,catchup_after_pause}'::text[]
    = new_row - '{paused,paused_note,resumed_at,catchup_after_pause}'::text[];

create function tidemill.job_access() returns trigger
language plpgsql as $$
begin
    if tidemill.is_owner(current_user) then
        return coalesce(new, old);
    end if;
    perform tidemill.forget_exceptions();
    perform tidemill.check_access(
        'job_id', old.job_id, new.job_id, old.tenant, new.tenant,
        tg_op = 'UPDATE' and tidemill.only_operates(to_jsonb(old), to_jsonb(new)));
    return coalesce(new, old);
end
$$;

create function tidemill.dag_access() returns trigger
language plpgsql as $$
begin
    if tidemill.is_owner(current_user) then
        return coalesce(new, old);
    end if;
    perform tidemill.forget_exceptions();
    perform tidemill.check_access(
        'dag_id', old.dag_id, new.dag_id, old.tenant, new.tenant,
        tg_op = 'UPDATE' and tidemill.only_operates(to_jsonb(old), to_jsonb(new)));
    return coalesce(new, old);
end
$$;

-- A role with few tenants writes the row of a DAG before its nodes: the nodes belong to its tenant.
create function tidemill.node_access() returns trigger
language plpgsql as $$
declare
    mine text[];
    changed text;
begin
    if tidemill.is_owner(current_user) then
        return coalesce(new, old);
    end if;
    mine := tidemill.my_tenants('write');
    foreach changed in array array_remove(array[old.dag_id, new.dag_id], null) loop
        if '*' <> all (mine) and not exists (
            select from tidemill.dags where dag_id = changed and tidemill.is_among(tenant, mine)
        ) then
            perform tidemill.refuse_access('dag_id', changed, format(
                'role %s may write jobs and DAGs of %s, and there is no such DAG; insert its row into tidemill.dags '
                'before its nodes', current_user, tidemill.shown_tenants(mine)));
        end if;
    end loop;
    return coalesce(new, old);
end
$$;

-- It fires before the trigger that completes the request, which would tell of runs of others. A request may wait for a job
-- that does not exist yet only if its role may operate every tenant: nobody knows whose job that will be.
create function tidemill.request_access() returns trigger
language plpgsql as $$
declare
    asked text := coalesce(new.dag_id, new.job_id, tidemill.owner_of_run(new.run_id));
    mine text[];
begin
    if asked is null or tidemill.is_owner(current_user) then
        return new;
    end if;
    mine := tidemill.my_tenants('operate');
    if '*' <> all (mine) and not exists (
        select from tidemill.owners where owner = asked and tidemill.is_among(tenant, mine)
        union all
        select from tidemill.dags where dag_id = asked and tidemill.is_among(tenant, mine)
    ) then
        perform tidemill.refuse_access(
            case when new.dag_id is null then 'job_id' else 'dag_id' end, asked,
            format('role %s may ask for jobs and DAGs of %s, and there is no such job or DAG',
                   current_user, tidemill.shown_tenants(mine)));
    end if;
    return new;
end
$$;

-- Triggers fire in the order of their names, so these fire before all others.
create trigger access before insert or delete on tidemill.jobs
for each row execute function tidemill.job_access();

create trigger access_of_update before update on tidemill.jobs
for each row when (old.* *<> new.*) execute function tidemill.job_access();

create trigger access before insert or delete on tidemill.dags
for each row execute function tidemill.dag_access();

create trigger access_of_update before update on tidemill.dags
for each row when (old.* *<> new.*) execute function tidemill.dag_access();

create trigger access before insert or update or delete on tidemill.dag_nodes
for each row execute function tidemill.node_access();

create trigger access before insert on tidemill.requests
for each row execute function tidemill.request_access();

-- A statement could set these settings between the triggers before and those after its row (returning set_config).
create function tidemill.access_after() returns trigger
language plpgsql as $$
begin
    if not tidemill.is_owner(current_user) then
        perform tidemill.forget_exceptions();
    end if;
    return null;
end
$$;

create trigger access_after after insert or update or delete on tidemill.jobs
for each row execute function tidemill.access_after();

create trigger access_after after insert or update or delete on tidemill.dags
for each row execute function tidemill.access_after();

-- A fence of a run whose job was never defined is a mistake, and one of another tenant would stop that tenant's attempts.
-- The read model does not matter: it may be behind.
create function tidemill.check_fence(of_run text) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    who name := case current_setting('role') when 'none' then session_user else current_setting('role') end;
    mine text[] := tidemill.tenants_of(who, 'read');
begin
    if not exists (
        select from tidemill.owners where owner = tidemill.owner_of_run(of_run) and tidemill.is_among(tenant, mine)
    ) then
        perform tidemill.refuse_access('run_id', of_run, format(
            'role %s may fence runs of %s, and there is no job or DAG of this run; pass the value of TIDEMILL_RUN_ID',
            who, tidemill.shown_tenants(mine)));
    end if;
end
$$;

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
    perform tidemill.check_fence(run_id);
    insert into tidemill.fences as known (run_id, token)
    values (fence_ok.run_id, fence_ok.token)
    on conflict on constraint fences_pkey do update
        set token = excluded.token, passed_at = clock_timestamp()
        where known.token <= excluded.token;
    return found;
end
$$;

-- These write tables that no role but the owner may write. Nobody may put a function of his own into their path.
do $$
declare
    written text;
begin
    foreach written in array array[
        'job_before_change()', 'job_after_change()', 'dag_before_change()', 'dag_after_change()', 'dag_changed()',
        'node_before_change()', 'nodes_after_change()', 'request_before_insert()',
        'make_week(date)', 'prune_week(date, boolean, bigint)', 'prune_definitions(interval)', 'prune_requests(interval)',
        'prune_fences(interval)', 'prune(interval)', 'note_restore(bigint)', 'note_comparison(bigint, text, bigint)',
        'note_healing(bigint, bigint, text)', 'append_again(text[], bigint[])', 'append_deletions(text[], text[])'
    ] loop
        execute format('alter function tidemill.%s security definer set search_path = pg_catalog, pg_temp', written);
        execute format('revoke execute on function tidemill.%s from public', written);
    end loop;
end
$$;

-- A view reads with the rights of who asks.
alter view tidemill.dag_runs set (security_invoker = true);
alter view tidemill.attempts set (security_invoker = true);
alter view tidemill.transitions set (security_invoker = true);
alter view tidemill.backfills set (security_invoker = true);

alter table tidemill.jobs enable row level security;
alter table tidemill.dags enable row level security;
alter table tidemill.dag_nodes enable row level security;
alter table tidemill.definitions enable row level security;
alter table tidemill.owners enable row level security;
alter table tidemill.requests enable row level security;
alter table tidemill.runs enable row level security;
alter table tidemill.stories enable row level security;
alter table tidemill.problems enable row level security;
alter table tidemill.members enable row level security;
