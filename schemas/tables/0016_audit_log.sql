-- Who changed or asked what, and by which door: one row for each change of a job, DAG, node or member, and for each request.
-- Only a trigger writes it, in the transaction of the change. It is kept by weeks, as the read model is.

create sequence tidemill.audit_number as bigint;

create table tidemill.audit_log (
    at timestamptz not null,
    number bigint not null default nextval('tidemill.audit_number'),
    login text not null,
    role text not null,
    door text not null,
    actor text,
    correlation_id text,
    action text not null,
    kind text not null,
    owner text not null,
    node_id text,
    tenant text,
    request_id text,
    before jsonb,
    after jsonb,
    primary key (at, number)
) partition by range (at);

comment on table tidemill.audit_log is
    'Who changed which job, DAG, node or member, and who asked for what; read it with `tidemill changes`.';
comment on column tidemill.audit_log.at is 'When, within its transaction.';
comment on column tidemill.audit_log.number is 'Orders the rows of one moment.';
comment on column tidemill.audit_log.login is 'The role that logged in to Postgres.';
comment on column tidemill.audit_log.role is 'The role that it had set; without SET ROLE the same.';
comment on column tidemill.audit_log.door is
    'web, api: the login is that of the web page or the API; cli: a command said so; sql: everything else.';
comment on column tidemill.audit_log.actor is
    'Whom the door named (tidemill.actor); only the web page and the API have checked it. Null: nobody.';
comment on column tidemill.audit_log.correlation_id is 'What the door named to find it again (tidemill.correlation_id).';
comment on column tidemill.audit_log.action is 'insert, update or delete.';
comment on column tidemill.audit_log.kind is 'job, dag, node, request or member.';
comment on column tidemill.audit_log.owner is 'The job_id or dag_id; of a member its role.';
comment on column tidemill.audit_log.node_id is 'kind node: its node_id.';
comment on column tidemill.audit_log.tenant is 'The tenant of the row, or of its job or DAG.';
comment on column tidemill.audit_log.request_id is 'kind request: its request_id.';
comment on column tidemill.audit_log.before is
    'The values before; of an update only those that changed. A long value is its size and sha256.';
comment on column tidemill.audit_log.after is
    'The values after; of an update only those that changed. A long value is its size and sha256.';

create index audit_log_by_owner on tidemill.audit_log (owner, at desc);

create or replace function tidemill.weekly_tables() returns text[]
language sql immutable parallel safe
return array['audit_log', 'problems', 'runs', 'stories'];

-- Without nulls, and with a digest in the place of each long value: payloads may be secret, and are kept elsewhere. Most rows
-- are short as a whole.
create function tidemill.audited(written jsonb) returns jsonb
language plpgsql immutable parallel safe as $$
declare
    short jsonb := jsonb_strip_nulls(written) - 'updated_at';
begin
    if octet_length(short::text) <= 2000 then
        return short;
    end if;
    return (
        select jsonb_object_agg(key, case
            when octet_length(value::text) <= 1000 then value
            else jsonb_build_object(
                'bytes', octet_length(value::text), 'sha256', encode(sha256(convert_to(value::text, 'UTF8')), 'hex'))
        end)
        from jsonb_each(short));
end
$$;

-- The values of `written` that `other` does not have.
create function tidemill.differing(written jsonb, other jsonb) returns jsonb
language sql immutable parallel safe as $$
    select coalesce(jsonb_object_agg(key, value), '{}')
    from jsonb_each(written) where value is distinct from other -> key
$$;

-- It runs as the owner: nobody else writes the table. The statements by which our own functions number rows are no changes,
-- nor is the row of the monitor, which a migration writes.
create function tidemill.audit_change() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    seen_at timestamptz := clock_timestamp();
    of_role name := case current_setting('role') when 'none' then session_user else current_setting('role') end;
    before jsonb := case tg_op when 'INSERT' then null else to_jsonb(old) end;
    after jsonb := case tg_op when 'DELETE' then null else to_jsonb(new) end;
    known jsonb := coalesce(after, before);
    of_owner text := coalesce(known ->> 'owner', known ->> 'job_id', known ->> 'dag_id', known ->> 'role');
begin
    if tg_argv[0] in ('job', 'dag') and (
        current_setting('tidemill.numbering', true) = 'on' or current_setting('tidemill.compiling', true) = 'on'
    ) and (pg_trigger_depth() > 1 or tidemill.is_owner(of_role) or tidemill.has_kind(of_role, '{sink}')) then
        return null;
    elsif tg_argv[0] = 'member' and current_setting('tidemill.keeping', true) = 'on' and tidemill.is_owner(of_role) then
        return null;
    end if;
    if to_regclass('tidemill.audit_log_' || to_char(tidemill.week_of((seen_at at time zone 'UTC')::date), 'YYYYMMDD'))
        is null then
        perform tidemill.make_week((seen_at at time zone 'UTC')::date);
    end if;
    insert into tidemill.audit_log (
        at, login, role, door, actor, correlation_id, action, kind, owner, node_id, tenant, request_id, before, after)
    values (
        seen_at, session_user, of_role,
        coalesce(
            (select kind from tidemill.roles where name = session_user and kind in ('api', 'web')),
            case current_setting('application_name') when 'tidemill' then 'cli' else 'sql' end),
        nullif(left(current_setting('tidemill.actor', true), 200), ''),
        nullif(left(current_setting('tidemill.correlation_id', true), 200), ''),
        lower(tg_op), tg_argv[0], of_owner, known ->> 'node_id',
        coalesce(
            known ->> 'tenant',
            (select tenant from tidemill.owners where owner = of_owner),
            (select tenant from tidemill.dags where dag_id = of_owner)),
        case tg_argv[0] when 'request' then known ->> 'request_id' end,
        tidemill.audited(case tg_op when 'UPDATE' then tidemill.differing(before, after) else before end),
        tidemill.audited(case tg_op when 'UPDATE' then tidemill.differing(after, before) else after end));
    return null;
end
$$;

create trigger audited after insert or delete on tidemill.jobs
for each row execute function tidemill.audit_change('job');

create trigger audited_update after update on tidemill.jobs
for each row when (old.* *<> new.*) execute function tidemill.audit_change('job');

create trigger audited after insert or delete on tidemill.dags
for each row execute function tidemill.audit_change('dag');

create trigger audited_update after update on tidemill.dags
for each row when (old.* *<> new.*) execute function tidemill.audit_change('dag');

create trigger audited after insert or delete on tidemill.dag_nodes
for each row execute function tidemill.audit_change('node');

create trigger audited_update after update on tidemill.dag_nodes
for each row when (old.* *<> new.*) execute function tidemill.audit_change('node');

create trigger audited after insert on tidemill.requests
for each row execute function tidemill.audit_change('request');

create trigger audited after insert or delete on tidemill.members
for each row execute function tidemill.audit_change('member');

create trigger audited_update after update on tidemill.members
for each row when (old.* *<> new.*) execute function tidemill.audit_change('member');

create trigger kept before insert or update or delete or truncate on tidemill.audit_log
for each statement when (pg_trigger_depth() = 0 and current_setting('tidemill.keeping', true) is distinct from 'on')
execute function tidemill.refuse_statement(
    'only a trigger writes it, and retention drops old weeks; nobody changes what was done');

alter table tidemill.audit_log enable row level security;
