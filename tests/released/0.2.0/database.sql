--
-- PostgreSQL database dump
--


-- Dumped from database version 18.4
-- Dumped by pg_dump version 18.4

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: tidemill; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA tidemill;


--
-- Name: attempt; Type: TYPE; Schema: tidemill; Owner: -
--

CREATE TYPE tidemill.attempt AS (
	attempt integer,
	token bigint,
	timeout_class text,
	dispatched_at timestamp with time zone,
	executor_id text,
	claimed_at timestamp with time zone,
	started_at timestamp with time zone,
	finished_at timestamp with time zone,
	ended_as text,
	exit_code integer,
	reason text,
	reason_code text,
	sha256 text,
	output text,
	output_bytes bigint,
	log_uri text,
	peak_memory bigint,
	cpu_seconds double precision,
	log_deleted_at timestamp with time zone
);


--
-- Name: transition; Type: TYPE; Schema: tidemill; Owner: -
--

CREATE TYPE tidemill.transition AS (
	version bigint,
	at timestamp with time zone,
	state text,
	attempt integer,
	reason text,
	reason_code text
);


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: requests; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.requests (
    request_id text NOT NULL,
    kind text DEFAULT 'run'::text NOT NULL,
    job_id text,
    dag_id text,
    run_id text,
    run_at timestamp with time zone,
    payload json,
    note text,
    traceparent text,
    backfill_from timestamp with time zone,
    backfill_to timestamp with time zone,
    reprocess text,
    max_active_runs integer,
    run_backwards boolean,
    dry_run boolean,
    ran jsonb,
    nominal_time timestamp with time zone,
    attempt integer DEFAULT 0 NOT NULL,
    downstream boolean DEFAULT false NOT NULL,
    mark_as text,
    nodes json,
    seen_version bigint DEFAULT 0 NOT NULL,
    owner text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: accepted_request(tidemill.requests); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.accepted_request(new tidemill.requests) RETURNS tidemill.requests
    LANGUAGE plpgsql
    AS $$
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


--
-- Name: access_after(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.access_after() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    if not tidemill.is_owner(current_user) then
        perform tidemill.forget_exceptions();
    end if;
    return null;
end
$$;


--
-- Name: allow_classes(text[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.allow_classes(names text[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
    users text;
begin
    if exists (select from tidemill.timeout_classes where name <> all (names)) then
        lock table tidemill.jobs, tidemill.dag_nodes in share row exclusive mode;
        with listed as (
            select who, row_number() over (order by who) as place from tidemill.class_users(names) as who
        )
        select string_agg(who, ', ' order by place) filter (where place <= 5)
            || case when count(*) > 5 then format(' and %s more', count(*) - 5) else '' end
        into users from listed;
        if users is not null then
            raise exception using
                errcode = 'check_violation',
                message = format(
                    'timeout_classes cannot be %s, because other classes are in use: %s; '
                    'give these another timeout_class (or null) first', array_to_string(names, ','), users),
                schema = 'tidemill',
                table = 'timeout_classes';
        end if;
    end if;
    perform set_config('tidemill.keeping', 'on', true);
    delete from tidemill.timeout_classes where name <> all (names);
    insert into tidemill.timeout_classes (name) select unnest(names) on conflict do nothing;
    perform set_config('tidemill.keeping', 'off', true);
end
$$;


--
-- Name: append_again(text[], bigint[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.append_again(wanted_owners text[], wanted_versions bigint[]) RETURNS SETOF bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET lock_timeout TO '500ms'
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    job tidemill.jobs;
    dag tidemill.dags;
begin
    perform set_config('tidemill.healing', 'on', true), set_config('tidemill.numbering', 'on', true),
        set_config('tidemill.compiling', 'on', true), set_config('tidemill.keeping', 'on', true);
    for job in
        select jobs.* from unnest(wanted_owners, wanted_versions) as wanted (owner, version)
        join tidemill.jobs on jobs.job_id = wanted.owner and jobs.version = wanted.version
        order by jobs.job_id collate "C" for update of jobs skip locked
    loop
        job.version := tidemill.locked_version(job.job_id);
        update tidemill.jobs set version = job.version, updated_at = clock_timestamp() where job_id = job.job_id;
        insert into tidemill.definitions (owner, kind, version, valid_from, deleted, spec)
        values (job.job_id, 'job', job.version, clock_timestamp(), false, tidemill.job_spec(job));
        return next job.version;
    end loop;
    for dag in
        select dags.* from unnest(wanted_owners, wanted_versions) as wanted (owner, version)
        join tidemill.dags on dags.dag_id = wanted.owner and dags.version = wanted.version
        order by dags.dag_id collate "C" for update of dags skip locked
    loop
        dag.version := tidemill.locked_version(dag.dag_id);
        update tidemill.dags set version = dag.version, updated_at = clock_timestamp() where dag_id = dag.dag_id;
        insert into tidemill.definitions (owner, kind, version, valid_from, deleted, spec)
        values (dag.dag_id, 'dag', dag.version, clock_timestamp(), false, tidemill.compiled_dag(dag));
        return next dag.version;
    end loop;
    perform set_config('tidemill.healing', 'off', true), set_config('tidemill.numbering', 'off', true),
        set_config('tidemill.compiling', 'off', true), set_config('tidemill.keeping', 'off', true);
end
$$;


--
-- Name: append_deletions(text[], text[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.append_deletions(gone_owners text[], gone_kinds text[]) RETURNS SETOF bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET lock_timeout TO '500ms'
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    gone record;
    taken bigint;
begin
    perform set_config('tidemill.healing', 'on', true), set_config('tidemill.keeping', 'on', true);
    for gone in select * from unnest(gone_owners, gone_kinds) as listed (owner, kind) order by owner collate "C" loop
        taken := tidemill.locked_version(gone.owner);
        if not exists (select from tidemill.jobs where job_id = gone.owner)
            and not exists (select from tidemill.dags where dag_id = gone.owner) then
            insert into tidemill.definitions (owner, kind, version, valid_from, deleted, spec)
            values (gone.owner, gone.kind, taken, clock_timestamp(), true, null);
            return next taken;
        end if;
    end loop;
    perform set_config('tidemill.healing', 'off', true), set_config('tidemill.keeping', 'off', true);
end
$$;


--
-- Name: audit_change(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.audit_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: audited(jsonb); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.audited(written jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
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


--
-- Name: begin_of(date); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.begin_of(day date) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((day)::timestamp without time zone AT TIME ZONE 'UTC'::text);


--
-- Name: heartbeat; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.heartbeat (
    id integer DEFAULT 1 NOT NULL,
    at timestamp with time zone NOT NULL,
    CONSTRAINT heartbeat_id_check CHECK ((id = 1))
);


--
-- Name: captured_until(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.captured_until() RETURNS timestamp with time zone
    LANGUAGE sql
    RETURN (SELECT LEAST(heartbeat.at, clock_timestamp()) AS "least" FROM tidemill.heartbeat);


--
-- Name: check_access(text, text, text, text, text, boolean); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_access(id_column text, old_id text, new_id text, old_tenant text, new_tenant text, only_operates boolean) RETURNS void
    LANGUAGE plpgsql STABLE
    AS $$
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


--
-- Name: check_args(text, jsonb); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_args(column_name text, value jsonb) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $_$
begin
    perform tidemill.check_size(column_name, value::text, 32);
    if value is null or jsonb_typeof(value) <> 'array'
        or jsonb_path_exists(value, 'strict $[*] ? (@.type() != "string")')
    then
        perform tidemill.refuse(
            column_name, value::text, 'it must be a JSON array of strings, such as ["--fast", "7"]');
    end if;
end
$_$;


--
-- Name: check_at(text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_at(instant text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    AS $_$
begin
    if instant ~ ('^(19[7-9]|20[0-9]|21[0-9])[0-9]-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])'
            'T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,3})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$')
        -- The day exists in its month.
        and substr(instant, 9, 2)::int <= extract(day from
            make_date(substr(instant, 1, 4)::int, substr(instant, 6, 2)::int, 1) + interval '1 month -1 day')
    then
        if tidemill.is_writable(instant::timestamptz) then
            return null;
        end if;
        -- Its offset moves it out of the range.
        return format('"@at %s" is out of range: from 1970-01-01T00:00:00Z to 2199-12-31T23:59:59.999Z', instant);
    end if;
    return format(
        '"@at %s" is not understood: write a time from 1970 to 2199 with its offset and at most milliseconds, '
        'such as 2026-11-21T03:00:00Z or 2026-11-21T03:00:00.500+01:00', instant);
end
$_$;


--
-- Name: check_backfill(tidemill.requests); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_backfill(request tidemill.requests) RETURNS void
    LANGUAGE plpgsql STABLE
    AS $$
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


--
-- Name: check_bytes(text, bigint); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_bytes(column_name text, value bigint) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $$
begin
    if value is not null and value not between 1048576 and 1125899906842624 then
        perform tidemill.refuse(
            column_name, value::text,
            'allowed are bytes from 1048576 (1 MB) to 1125899906842624 (1 PB); pg_size_bytes(''512 MB'') computes them');
    end if;
end
$$;


--
-- Name: check_confinement(text, text, bigint, bigint, double precision, integer); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_confinement(sandbox text, network text, memory bigint, disk bigint, cpu double precision, pids integer) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $$
begin
    if sandbox is not null then
        perform tidemill.check_word('sandbox', sandbox, '{basic,strict}');
    end if;
    if network is not null then
        perform tidemill.check_word('network', network, '{any,none}');
    end if;
    perform tidemill.check_bytes('memory', memory), tidemill.check_bytes('disk', disk);
    if cpu is not null then
        perform tidemill.check_number('cpu', cpu, 0.01, 1024);
    end if;
    if pids is not null then
        perform tidemill.check_number('pids', pids, 1, 4194304);
    end if;
end
$$;


--
-- Name: check_cron(text[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_cron(words text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    AS $$
declare
    -- Name, lowest value, highest value, largest step.
    fields constant text[][] := '{
        {second, 0, 59, 60}, {minute, 0, 59, 60}, {hour, 0, 23, 24},
        {day-of-month, 1, 31, 31}, {month, 1, 12, 12}, {day-of-week, 0, 7, 7}
    }';
    months constant text[] := '{JAN,FEB,MAR,APR,MAY,JUN,JUL,AUG,SEP,OCT,NOV,DEC}';
    weekdays constant text[] := '{SUN,MON,TUE,WED,THU,FRI,SAT}';
    found record;
    days int[];
    months_allowed int[];
    weekdays_allowed int[];
begin
    if cardinality(words) not in (5, 6) then
        return 'a schedule has five fields (minute hour day-of-month month day-of-week) or six with seconds first; '
            || 'this one has ' || cardinality(words);
    end if;
    if cardinality(words) = 5 then
        words := '0'::text || words;
    end if;
    for i in 1..6 loop
        found := tidemill.cron_field(
            fields[i][1], words[i], fields[i][2]::int, fields[i][3]::int, fields[i][4]::int,
            case i when 5 then months when 6 then weekdays end);
        if found.problem is not null then
            return found.problem;
        end if;
        case i
            when 4 then days := found.numbers;
            when 5 then months_allowed := found.numbers;
            when 6 then weekdays_allowed := found.numbers;
            else null;
        end case;
    end loop;
    -- As in Debian: if one day field starts with a star, a day must match both; otherwise one match is enough.
    if (words[4] like '*%' or words[6] like '*%') and words[4] <> '*'
        and not tidemill.cron_ever_fires(days, months_allowed, weekdays_allowed)
    then
        return 'it never fires: none of its months has one of its days';
    end if;
    return null;
end
$$;


--
-- Name: dags; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.dags (
    dag_id text NOT NULL,
    tenant text DEFAULT 'default'::text NOT NULL,
    schedule text,
    timezone text DEFAULT 'UTC'::text NOT NULL,
    overlap_policy text DEFAULT 'skip'::text NOT NULL,
    buffer_limit integer DEFAULT 1000 NOT NULL,
    max_active_epochs integer DEFAULT 1 NOT NULL,
    dag_timeout interval,
    on_delete text DEFAULT 'finish'::text NOT NULL,
    catchup_policy text DEFAULT 'latest'::text NOT NULL,
    catchup_window interval DEFAULT '24:00:00'::interval NOT NULL,
    catchup_after_pause text DEFAULT 'skip'::text NOT NULL,
    misfire_grace interval DEFAULT '00:01:00'::interval NOT NULL,
    start_deadline interval,
    jitter interval DEFAULT '00:00:00'::interval NOT NULL,
    dst_gap text DEFAULT 'shift'::text NOT NULL,
    dst_fold text,
    max_runs integer,
    pause_on_failure integer,
    resumed_at timestamp with time zone,
    paused boolean DEFAULT false NOT NULL,
    paused_note text,
    starts_at timestamp with time zone,
    ends_at timestamp with time zone,
    version bigint,
    updated_at timestamp with time zone
);


--
-- Name: check_dag(tidemill.dags); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_dag(dag tidemill.dags) RETURNS void
    LANGUAGE plpgsql STABLE
    AS $$
begin
    perform tidemill.check_id('dag_id', dag.dag_id);
    perform tidemill.check_schedule_columns(dag);
    perform tidemill.check_number('max_active_epochs', dag.max_active_epochs, 1, 1000);
    if dag.dag_timeout is not null then
        perform tidemill.check_duration('dag_timeout', dag.dag_timeout, '1 ms');
    end if;
end
$$;


--
-- Name: dag_nodes; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.dag_nodes (
    dag_id text NOT NULL,
    node_id text NOT NULL,
    depends_on text[] DEFAULT '{}'::text[] NOT NULL,
    trigger_rule text DEFAULT 'all_success'::text NOT NULL,
    executable text NOT NULL,
    sha256 text,
    args jsonb DEFAULT '[]'::jsonb NOT NULL,
    env jsonb DEFAULT '{}'::jsonb NOT NULL,
    payload json,
    timeout interval,
    timeout_class text,
    promote boolean DEFAULT true NOT NULL,
    max_attempts integer DEFAULT 1 NOT NULL,
    initial_interval interval DEFAULT '00:00:01'::interval NOT NULL,
    backoff_coefficient double precision DEFAULT 2.0 NOT NULL,
    max_interval interval DEFAULT '00:01:00'::interval NOT NULL,
    retry_jitter double precision DEFAULT 0.1 NOT NULL,
    non_retryable_exit_codes integer[] DEFAULT '{}'::integer[] NOT NULL,
    skip_exit_codes integer[] DEFAULT '{}'::integer[] NOT NULL,
    max_infra_retries integer DEFAULT 10 NOT NULL,
    max_retry_duration interval,
    cancel_grace interval DEFAULT '00:00:30'::interval NOT NULL,
    sandbox text,
    memory bigint,
    disk bigint,
    cpu double precision,
    pids integer,
    network text,
    unveil text[] DEFAULT '{}'::text[] NOT NULL
);


--
-- Name: check_depends_on(tidemill.dag_nodes); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_depends_on(node tidemill.dag_nodes) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $$
declare
    needed text;
    twice text;
begin
    if node.depends_on is null or coalesce(array_ndims(node.depends_on), 1) > 1 then
        perform tidemill.refuse('depends_on', node.depends_on::text, 'it must be a list of node ids');
    end if;
    foreach needed in array node.depends_on loop
        perform tidemill.check_id('depends_on', needed);
        if needed = node.node_id then
            perform tidemill.refuse('depends_on', needed, format('node "%s" depends on itself', node.node_id));
        end if;
    end loop;
    select each into twice from unnest(node.depends_on) as each group by each having count(*) > 1 limit 1;
    if found then
        perform tidemill.refuse('depends_on', twice, format('node "%s" names it twice', node.node_id));
    end if;
end
$$;


--
-- Name: check_duration(text, interval, interval); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_duration(column_name text, value interval, lowest interval) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $$
declare
    seconds numeric := extract(epoch from value);
begin
    if value is null or not isfinite(value) then
        perform tidemill.refuse(column_name, value::text, 'it must be a duration such as 90 s or 1 h');
    elsif extract(year from value) <> 0 or extract(month from value) <> 0 then
        perform tidemill.refuse(
            column_name, value::text,
            'a month or a year has no fixed length; write weeks, days, hours, minutes or seconds');
    elsif scale(trim_scale(seconds)) > 3 then
        perform tidemill.refuse(column_name, value::text, 'a duration must be a whole number of milliseconds');
    elsif seconds not between extract(epoch from lowest) and 366 * 86400 then
        perform tidemill.refuse(
            column_name, value::text,
            case when lowest = interval '0' then 'it must be between 0 and 366 days'
                 else 'it must be longer than 0 and at most 366 days' end);
    end if;
end
$$;


--
-- Name: check_env(text, jsonb); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_env(column_name text, value jsonb) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $_$
declare
    bad text;
begin
    perform tidemill.check_size(column_name, value::text, 32);
    if value is null or jsonb_typeof(value) <> 'object'
        or jsonb_path_exists(value, 'strict $.* ? (@.type() != "string")')
    then
        perform tidemill.refuse(
            column_name, value::text, 'it must be a JSON object of strings, such as {"MODE": "fast"}');
    end if;
    if value = '{}' then
        return;
    end if;
    select name into bad from jsonb_object_keys(value) as name
        where name !~ '^[A-Za-z_][A-Za-z0-9_]*$' or name like 'TIDEMILL\_%' limit 1;
    if found then
        perform tidemill.refuse(
            column_name, bad,
            'the name of a variable may contain only letters, digits and _, and must not start with a digit '
            'or with TIDEMILL_, the prefix of the variables that the executor sets');
    end if;
end
$_$;


--
-- Name: check_every(text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_every(duration text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    AS $_$
declare
    found text[] := regexp_match(
        duration,
        '^(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})(?:\.([0-9]{1,3}))?s)?$');
    total_ms numeric;
begin
    if found is null or duration = '' then
        return format(
            '"@every %s" is not understood: write numbers with the units d h m s, in this order, '
            'such as 90s, 1h30m or 1.5s', duration);
    end if;
    total_ms := coalesce(found[1]::numeric, 0) * 86400000 + coalesce(found[2]::numeric, 0) * 3600000
        + coalesce(found[3]::numeric, 0) * 60000 + coalesce(found[4]::numeric, 0) * 1000
        + rpad(coalesce(found[5], ''), 3, '0')::numeric;
    if total_ms not between 1000 and 366 * 86400000.0 then
        return format('"@every %s" is out of range: from 1s to 366d', duration);
    end if;
    return null;
end
$_$;


--
-- Name: check_executable(text, text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_executable(column_name text, value text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $_$
begin
    if value is null
        or value !~ '^s3://[a-z0-9][a-z0-9.-]+[a-z0-9]/[^\u0001-\u001f\u007f-\u009f]+$'
        or length(split_part(value, '/', 3)) > 63
        or octet_length(value) > 1100
    then
        perform tidemill.refuse(
            column_name, value,
            'it must be s3://bucket/key; a bucket has 3 to 63 of a-z 0-9 . - and a key at most 1024 bytes');
    end if;
end
$_$;


--
-- Name: check_exit_codes(text, integer[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_exit_codes(column_name text, value integer[]) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $$
begin
    if value = '{}' then
        return;
    elsif value is null or cardinality(value) > 255 or coalesce(array_ndims(value), 1) > 1
        or exists (select from unnest(value) as code where code is null or code not between 1 and 255)
    then
        perform tidemill.refuse(column_name, value::text, 'it must be a list of exit codes from 1 to 255');
    end if;
end
$$;


--
-- Name: check_fence(text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_fence(of_run text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: check_flag(text, boolean); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_flag(column_name text, value boolean) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $$
begin
    if value is null then
        perform tidemill.refuse(column_name, null, 'allowed are true and false');
    end if;
end
$$;


--
-- Name: check_id(text, text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_id(column_name text, value text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $$
begin
    if tidemill.is_id(value) is not true then
        perform tidemill.refuse(
            column_name, value,
            'an id has 1 to 200 characters, no control characters and none of @ # / ~');
    end if;
end
$$;


--
-- Name: check_instant(text, timestamp with time zone); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_instant(column_name text, value timestamp with time zone) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $$
begin
    if not tidemill.is_writable(value) then
        perform tidemill.refuse(column_name, value::text, 'it must be a time from 1970 to 2199');
    end if;
end
$$;


--
-- Name: jobs; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.jobs (
    job_id text NOT NULL,
    tenant text DEFAULT 'default'::text NOT NULL,
    schedule text,
    timezone text DEFAULT 'UTC'::text NOT NULL,
    executable text NOT NULL,
    sha256 text,
    args jsonb DEFAULT '[]'::jsonb NOT NULL,
    env jsonb DEFAULT '{}'::jsonb NOT NULL,
    payload json,
    timeout interval,
    timeout_class text,
    promote boolean DEFAULT true NOT NULL,
    max_attempts integer DEFAULT 1 NOT NULL,
    initial_interval interval DEFAULT '00:00:01'::interval NOT NULL,
    backoff_coefficient double precision DEFAULT 2.0 NOT NULL,
    max_interval interval DEFAULT '00:01:00'::interval NOT NULL,
    retry_jitter double precision DEFAULT 0.1 NOT NULL,
    non_retryable_exit_codes integer[] DEFAULT '{}'::integer[] NOT NULL,
    max_infra_retries integer DEFAULT 10 NOT NULL,
    max_retry_duration interval,
    overlap_policy text DEFAULT 'skip'::text NOT NULL,
    buffer_limit integer DEFAULT 1000 NOT NULL,
    concurrency_limit integer,
    cancel_grace interval DEFAULT '00:00:30'::interval NOT NULL,
    on_delete text DEFAULT 'finish'::text NOT NULL,
    catchup_policy text DEFAULT 'latest'::text NOT NULL,
    catchup_window interval DEFAULT '24:00:00'::interval NOT NULL,
    catchup_after_pause text DEFAULT 'skip'::text NOT NULL,
    misfire_grace interval DEFAULT '00:01:00'::interval NOT NULL,
    start_deadline interval,
    jitter interval DEFAULT '00:00:00'::interval NOT NULL,
    dst_gap text DEFAULT 'shift'::text NOT NULL,
    dst_fold text,
    max_runs integer,
    pause_on_failure integer,
    resumed_at timestamp with time zone,
    paused boolean DEFAULT false NOT NULL,
    paused_note text,
    starts_at timestamp with time zone,
    ends_at timestamp with time zone,
    sandbox text,
    memory bigint,
    disk bigint,
    cpu double precision,
    pids integer,
    network text,
    unveil text[] DEFAULT '{}'::text[] NOT NULL,
    version bigint NOT NULL,
    updated_at timestamp with time zone NOT NULL
);


--
-- Name: check_job(tidemill.jobs); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_job(job tidemill.jobs) RETURNS void
    LANGUAGE plpgsql STABLE
    AS $$
begin
    perform tidemill.check_id('job_id', job.job_id);
    perform tidemill.check_schedule_columns(job);
    perform tidemill.check_process_columns(job);
    if job.concurrency_limit is null then
        return;
    elsif job.overlap_policy <> 'allow_all' then
        perform tidemill.refuse(
            'concurrency_limit', job.concurrency_limit::text,
            'it needs overlap_policy allow_all; every other policy keeps one run open at a time');
    end if;
    perform tidemill.check_number('concurrency_limit', job.concurrency_limit, 1, 10000);
end
$$;


--
-- Name: check_json(text, json, integer); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_json(column_name text, value json, kilobytes integer) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $$
declare
    written text := value::text;
begin
    if value is null then
        return;
    end if;
    perform tidemill.check_size(column_name, written, kilobytes);
    if length(translate(written, '[{', '')) < length(written) - 200 and tidemill.is_deep(written, 200) then
        perform tidemill.refuse(column_name, written, 'JSON is nested at most 200 levels deep');
    end if;
    if strpos(written, '\u') > 0 then
        begin
            perform json_strip_nulls(value);
        exception when untranslatable_character or invalid_text_representation then
            perform tidemill.refuse(
                column_name, written,
                'it contains \u0000 or half of a surrogate pair (\u escapes), which Postgres cannot read in JSON');
        end;
    end if;
end
$$;


--
-- Name: check_node(tidemill.dag_nodes); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_node(node tidemill.dag_nodes) RETURNS void
    LANGUAGE plpgsql STABLE
    AS $$
begin
    perform tidemill.check_id('dag_id', node.dag_id);
    perform tidemill.check_id('node_id', node.node_id);
    if node.depends_on is null or node.depends_on <> '{}' then
        perform tidemill.check_depends_on(node);
    end if;
    perform tidemill.check_word(
        'trigger_rule', node.trigger_rule,
        '{all_success,all_failed,all_done,one_success,one_failed,one_done,none_failed,none_failed_min_one_success,'
        'none_skipped,all_skipped,all_done_min_one_success,always}');
    perform tidemill.check_process_columns(node);
    if node.skip_exit_codes is null or node.skip_exit_codes <> '{}' then
        perform tidemill.check_exit_codes('skip_exit_codes', node.skip_exit_codes);
    end if;
end
$$;


--
-- Name: check_node_names(text, text[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_node_names(of_dag text, names text[]) RETURNS void
    LANGUAGE plpgsql STABLE
    SET enable_nestloop TO 'off'
    AS $$
declare
    problem text;
begin
    if cardinality(names) = 0 then
        perform tidemill.refuse_dag(of_dag, 'it has no node; insert at least one row into tidemill.dag_nodes');
    elsif cardinality(names) > 10000 then
        perform tidemill.refuse_dag(of_dag, format('it has %s nodes; at most 10000 are allowed', cardinality(names)));
    end if;
    with needs as materialized (
        select node_id, unnest(depends_on) as needed from tidemill.dag_nodes where dag_id = of_dag
    ), missing as (
        select node_id, needed from needs left join unnest(names) as known on known = needed where known is null
    ), listed as (
        select format('node "%s" depends on "%s"', node_id, needed) as said, row_number() over (order by node_id, needed) as place
        from missing
    )
    select string_agg(said, ', ' order by place) filter (where place <= 5)
        || case when count(*) > 5 then format(', and %s more like these', count(*) - 5) else '' end
    into problem from listed;
    if problem is not null then
        perform tidemill.refuse_dag(of_dag, problem || ', which the DAG does not have');
    end if;
end
$$;


--
-- Name: check_number(text, double precision, double precision, double precision); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_number(column_name text, value double precision, lowest double precision, highest double precision) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $$
begin
    if value is null or not value between lowest and highest then
        perform tidemill.refuse(
            column_name, value::text, format('allowed are numbers from %s to %s', lowest, highest));
    end if;
end
$$;


--
-- Name: check_pinned(text, text, text, text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_pinned(old_executable text, new_executable text, old_sha256 text, new_sha256 text) RETURNS void
    LANGUAGE plpgsql STABLE
    AS $$
begin
    if old_executable <> new_executable and old_sha256 = new_sha256
        and current_setting('tidemill.sha256_named', true) is distinct from 'on'
    then
        perform tidemill.refuse(
            'sha256', new_sha256,
            'it is the checksum of the previous executable; set sha256 too, to the checksum of the new one, '
            'or to null to accept any content');
    end if;
end
$$;


--
-- Name: check_process_columns(anyelement); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_process_columns(process anyelement) RETURNS void
    LANGUAGE plpgsql STABLE
    AS $$
begin
    perform
        tidemill.check_executable('executable', process.executable),
        tidemill.check_sha256('sha256', process.sha256),
        tidemill.check_args('args', process.args),
        tidemill.check_env('env', process.env),
        tidemill.check_json('payload', process.payload, 256);
    if process.timeout is not null then
        perform tidemill.check_duration('timeout', process.timeout, '1 ms');
    end if;
    perform
        tidemill.check_timeout_class('timeout_class', process.timeout_class),
        tidemill.check_flag('promote', process.promote),
        tidemill.check_duration('cancel_grace', process.cancel_grace, '0'),
        tidemill.check_number('max_attempts', process.max_attempts, 1, 1000),
        tidemill.check_duration('initial_interval', process.initial_interval, '1 ms'),
        tidemill.check_number('backoff_coefficient', process.backoff_coefficient, 1, 100),
        tidemill.check_duration('max_interval', process.max_interval, '1 ms');
    if process.max_interval < process.initial_interval then
        perform tidemill.refuse(
            'max_interval', process.max_interval::text,
            'it must not be shorter than initial_interval, ' || process.initial_interval);
    end if;
    perform
        tidemill.check_number('retry_jitter', process.retry_jitter, 0, 1),
        tidemill.check_exit_codes('non_retryable_exit_codes', process.non_retryable_exit_codes),
        tidemill.check_number('max_infra_retries', process.max_infra_retries, 0, 1000);
    if process.max_retry_duration is not null then
        perform tidemill.check_duration('max_retry_duration', process.max_retry_duration, '1 ms');
    end if;
    if num_nonnulls(process.sandbox, process.network, process.memory, process.disk, process.cpu, process.pids) > 0 then
        perform tidemill.check_confinement(
            process.sandbox, process.network, process.memory, process.disk, process.cpu, process.pids);
    end if;
    perform tidemill.check_unveil('unveil', process.unveil);
end
$$;


--
-- Name: check_request_kind(tidemill.requests); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_request_kind(request tidemill.requests) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $$
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


--
-- Name: check_request_owner(tidemill.requests); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_request_owner(request tidemill.requests) RETURNS void
    LANGUAGE plpgsql STABLE
    AS $$
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


--
-- Name: check_run_id(text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_run_id(run_id text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $$
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


--
-- Name: check_schedule(text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_schedule(schedule text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    AS $$
declare
    words text[];
    name text;
    problem text;
    nicknames constant text[] := '{@hourly,@daily,@midnight,@weekly,@monthly,@yearly,@annually}';
begin
    if schedule is null or tidemill.is_plain_cron(schedule) then
        return null;
    elsif length(schedule) > 500 then
        return 'a schedule has at most 500 characters, and this one has ' || length(schedule);
    elsif schedule ~ '[^ -~\t\r\n]' then
        return 'a schedule may contain only printable ASCII characters';
    end if;
    words := string_to_array(tidemill.normal_white_space(schedule), ' ');
    if cardinality(words) = 0 then
        return 'a schedule must not be empty; null means that only requests start runs';
    elsif words[1] not like '@%' then
        problem := tidemill.check_cron(string_to_array(upper(array_to_string(words, ' ') collate "C"), ' '));
        return case when problem is not null then coalesce(tidemill.schedule_habit(words), problem) end;
    end if;
    name := lower(words[1] collate "C");
    if name in ('@every', '@at') and cardinality(words) <> 2 then
        return name || ' takes one word, such as @every 90s or @at 2026-11-21T03:00:00+01:00';
    elsif name = '@every' then
        return tidemill.check_every(words[2]);
    elsif name = '@at' then
        return tidemill.check_at(words[2]);
    elsif name <> all (nicknames) then
        return format(
            '"%s" is not known%s; allowed are %s @every @at', name,
            case name when '@reboot' then ': no schedule follows the start of a machine; set the schedule to null, '
                'and let the machine call `tidemill run <job_id>` when it starts' end,
            array_to_string(nicknames, ' '));
    elsif cardinality(words) > 1 then
        return name || ' takes nothing after it';
    end if;
    return null;
end
$$;


--
-- Name: check_schedule_columns(anyelement); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_schedule_columns(planned anyelement) RETURNS void
    LANGUAGE plpgsql STABLE
    AS $$
declare
    problem text := tidemill.check_schedule(planned.schedule);
begin
    perform tidemill.check_id('tenant', planned.tenant);
    if problem is not null then
        perform tidemill.refuse('schedule', planned.schedule, problem);
    end if;
    perform
        tidemill.check_timezone('timezone', planned.timezone),
        tidemill.check_word('overlap_policy', planned.overlap_policy, '{skip,buffer_one,buffer_all,cancel_other,terminate_other,allow_all}'),
        tidemill.check_number('buffer_limit', planned.buffer_limit, 1, 10000),
        tidemill.check_word('on_delete', planned.on_delete, '{finish,cancel}'),
        tidemill.check_word('catchup_policy', planned.catchup_policy, '{skip,latest,all}'),
        tidemill.check_duration('catchup_window', planned.catchup_window, '1 ms'),
        tidemill.check_word('catchup_after_pause', planned.catchup_after_pause, '{skip,latest,all}'),
        tidemill.check_duration('misfire_grace', planned.misfire_grace, '1 ms');
    if planned.start_deadline is not null then
        perform tidemill.check_duration('start_deadline', planned.start_deadline, '1 ms');
    end if;
    perform
        tidemill.check_duration('jitter', planned.jitter, '0'),
        tidemill.check_word('dst_gap', planned.dst_gap, '{shift,skip}');
    if planned.dst_fold is not null then
        perform tidemill.check_word('dst_fold', planned.dst_fold, '{first,second,both}');
    end if;
    if planned.max_runs is not null then
        perform tidemill.check_number('max_runs', planned.max_runs, 1, 2147483647);
    end if;
    if planned.pause_on_failure is not null then
        perform tidemill.check_number('pause_on_failure', planned.pause_on_failure, 1, 1000);
    end if;
    perform
        tidemill.check_instant('resumed_at', planned.resumed_at),
        tidemill.check_flag('paused', planned.paused);
    if length(planned.paused_note) > 1000 then
        perform tidemill.refuse('paused_note', planned.paused_note, 'a note has at most 1000 characters');
    end if;
    perform
        tidemill.check_instant('starts_at', planned.starts_at),
        tidemill.check_instant('ends_at', planned.ends_at);
    if planned.ends_at <= planned.starts_at then
        perform tidemill.refuse('ends_at', planned.ends_at::text, 'it must be later than starts_at, ' || planned.starts_at);
    end if;
end
$$;


--
-- Name: check_sha256(text, text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_sha256(column_name text, value text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $_$
begin
    if value !~ '^[0-9a-f]{64}$' then
        perform tidemill.refuse(
            column_name, value, 'it must be 64 lower-case hexadecimal digits, or null to accept any content');
    end if;
end
$_$;


--
-- Name: check_size(text, text, integer); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_size(column_name text, value text, kilobytes integer) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $$
begin
    if octet_length(value) > kilobytes * 1024 then
        raise exception using
            errcode = 'check_violation',
            message = format(
                '%s has %s bytes as JSON: at most %s KB (%s bytes) are allowed',
                column_name, octet_length(value), kilobytes, kilobytes * 1024),
            schema = 'tidemill',
            column = column_name;
    end if;
end
$$;


--
-- Name: check_timeout_class(text, text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_timeout_class(column_name text, value text) RETURNS void
    LANGUAGE plpgsql STABLE
    AS $$
begin
    if value is not null and not exists (select from tidemill.timeout_classes where name = value) then
        perform tidemill.refuse(
            column_name, value,
            'the timeout classes of this deployment are ' || coalesce(tidemill.timeout_classes_in_order(), 'none yet: run tidemill migrate')
            || '; `tidemill cluster set timeout_classes=...` adds one');
    end if;
end
$$;


--
-- Name: check_timezone(text, text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_timezone(column_name text, value text) RETURNS void
    LANGUAGE plpgsql STABLE
    AS $$
declare
    written constant text := '/' || replace(lower(value), ' ', '_');
    spelling text;
begin
    if value = 'UTC' then
        return;
    elsif exists (select from tidemill.zones where name = value) then
        return;
    end if;
    -- A name in another case, or only the city of a name.
    select name into spelling from tidemill.zones where right('/' || lower(name), length(written)) = written
    order by length(name), name collate "C" limit 1;
    perform tidemill.refuse(
        column_name, value,
        coalesce('did you mean "' || spelling || '"? ', '')
        || 'A time zone is a name of the IANA database in its exact spelling, such as Europe/Berlin or UTC');
end
$$;


--
-- Name: check_traceparent(text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_traceparent(traceparent text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $_$
begin
    if traceparent !~ '^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$' then
        perform tidemill.refuse(
            'traceparent', traceparent,
            'it must be 00-<trace id>-<span id>-<flags>, of 32, 16 and 2 digits from 0 to f in lower case, and no id of '
            'zeros alone');
    end if;
end
$_$;


--
-- Name: check_unveil(text, text[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_unveil(column_name text, value text[]) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $_$
declare
    bad text;
begin
    if value = '{}' then
        return;
    elsif value is null or coalesce(array_ndims(value), 1) > 1 or cardinality(value) > 32 then
        perform tidemill.refuse(column_name, value::text, 'it must be a list of at most 32 paths, such as {r:/srv/www}');
    end if;
    select each into bad from unnest(value) as each
        where each is null or octet_length(each) > 1000
            or each !~ '^(r|rw|rx|rwx):/([^/\u0001-\u001f\u007f]+(/[^/\u0001-\u001f\u007f]+)*)?$'
            or each ~ '[:/][.][.]?(/|$)'
        limit 1;
    if found then
        perform tidemill.refuse(
            column_name, coalesce(bad, 'null'),
            'a path is r:, rw:, rx: or rwx: and an absolute path of at most 1000 bytes without . and .. and without / at '
            'its end, such as r:/srv/www');
    end if;
end
$_$;


--
-- Name: check_word(text, text, text[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.check_word(column_name text, value text, allowed text[]) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $$
begin
    if value is null or value <> all (allowed) then
        perform tidemill.refuse(column_name, value, 'allowed are ' || array_to_string(allowed, ', '));
    end if;
end
$$;


--
-- Name: class_users(text[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.class_users(kept text[]) RETURNS SETOF text
    LANGUAGE sql STABLE
    AS $$
    select format('job "%s" (%s)', job_id, timeout_class) from tidemill.jobs where timeout_class <> all (kept)
    union all
    select format('node "%s" of DAG "%s" (%s)', node_id, dag_id, timeout_class)
    from tidemill.dag_nodes where timeout_class <> all (kept)
$$;


--
-- Name: compile_dag(text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.compile_dag(of_dag text) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
    dag tidemill.dags;
    compiled json;
    orphan text;
begin
    select * into dag from tidemill.dags where dag_id = of_dag for update;
    if not found then
        select node_id into orphan from tidemill.dag_nodes where dag_id = of_dag order by node_id limit 1;
        if found then
            perform tidemill.refuse_dag(
                of_dag, format('it has no row in tidemill.dags, but the node "%s" in tidemill.dag_nodes', orphan));
        end if;
        return;
    end if;
    compiled := tidemill.compiled_dag(dag);
    if compiled::text = (select spec::text from tidemill.definitions
                   where owner = of_dag and kind = 'dag' and version = dag.version) then
        return;
    end if;
    dag.version := tidemill.locked_version(of_dag);
    if exists (select from tidemill.jobs where job_id = of_dag) then
        perform tidemill.refuse('dag_id', of_dag, 'a job has this id; jobs and DAGs share one name space');
    end if;
    insert into tidemill.definitions (owner, kind, version, valid_from, deleted, spec)
    values (of_dag, 'dag', dag.version, clock_timestamp(), false, compiled);
    perform set_config('tidemill.compiling', 'on', true);
    update tidemill.dags set version = dag.version, updated_at = clock_timestamp() where dag_id = of_dag;
    perform set_config('tidemill.compiling', 'off', true);
end
$$;


--
-- Name: compiled_dag(tidemill.dags); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.compiled_dag(dag tidemill.dags) RETURNS json
    LANGUAGE plpgsql STABLE
    SET enable_nestloop TO 'off'
    AS $$
declare
    names text[] := array(
        select node_id from tidemill.dag_nodes where dag_id = dag.dag_id order by node_id collate "C");
    spec json;
    bytes int;
begin
    perform tidemill.check_node_names(dag.dag_id, names);
    select tidemill.dag_spec(dag, json_agg(tidemill.node_spec(node) order by place)) into spec
    from unnest(tidemill.dag_order(dag.dag_id, names)) with ordinality as ordered (number, place)
    join unnest(names) with ordinality as named (name, number) using (number)
    join tidemill.dag_nodes as node on node.node_id = name and node.dag_id = dag.dag_id;
    bytes := octet_length(spec::text);
    if bytes > 4 * 1024 * 1024 then
        perform tidemill.refuse_dag(
            dag.dag_id,
            format('its compiled definition has %s bytes as JSON; at most 4 MB (%s bytes) are allowed', bytes, 4 * 1024 * 1024));
    end if;
    return spec;
end
$$;


--
-- Name: complete_backfill(tidemill.requests); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.complete_backfill(request tidemill.requests) RETURNS tidemill.requests
    LANGUAGE plpgsql STABLE
    AS $$
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


--
-- Name: complete_node_order(tidemill.requests); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.complete_node_order(request tidemill.requests) RETURNS tidemill.requests
    LANGUAGE plpgsql STABLE
    AS $$
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


--
-- Name: complete_request(tidemill.requests); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.complete_request(request tidemill.requests) RETURNS tidemill.requests
    LANGUAGE plpgsql STABLE
    AS $$
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


--
-- Name: complete_rerun(tidemill.requests); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.complete_rerun(request tidemill.requests) RETURNS tidemill.requests
    LANGUAGE plpgsql STABLE
    AS $$
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


--
-- Name: cron_ever_fires(integer[], integer[], integer[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.cron_ever_fires(days integer[], months integer[], weekdays integer[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (EXISTS (SELECT FROM ((unnest(cron_ever_fires.months) month(month) CROSS JOIN LATERAL unnest(CASE WHEN (month.month = ANY (ARRAY[4, 6, 9, 11])) THEN '{30}'::integer[] WHEN (month.month = 2) THEN '{28,29}'::integer[] ELSE '{31}'::integer[] END) length(length)) CROSS JOIN LATERAL generate_series(1, length.length) day(day)) WHERE (((day.day = ANY (cron_ever_fires.days)) OR ((32 = ANY (cron_ever_fires.days)) AND (day.day = length.length))) AND (EXISTS (SELECT FROM unnest(cron_ever_fires.weekdays) value(value) WHERE ((value.value < 10) OR ((value.value / 10) = ((day.day + 6) / 7)) OR ((value.value >= 60) AND ((day.day + 7) > length.length))))))));


--
-- Name: cron_field(text, text, integer, integer, integer, text[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.cron_field(field text, word text, lowest integer, highest integer, size integer, names text[], OUT numbers integer[], OUT problem text) RETURNS record
    LANGUAGE plpgsql IMMUTABLE
    AS $_$
declare
    allowed text;
    item text;
    found record;
begin
    -- The most frequent forms come first.
    if word = '*' then
        numbers := array(select generate_series(lowest, highest));
        return;
    elsif word ~ '^[0-9]{1,2}$' and word::int between lowest and highest then
        numbers := array[word::int];
        return;
    end if;
    allowed := format('a number from %s to %s', lowest, highest)
        || coalesce(' or a name ' || names[1] || ' to ' || names[cardinality(names)], '');
    numbers := '{}';
    foreach item in array string_to_array(word, ',') loop
        found := tidemill.cron_item(field, item, lowest, highest, size, allowed, names);
        problem := found.problem;
        exit when problem is not null;
        numbers := numbers || found.numbers;
    end loop;
end
$_$;


--
-- Name: cron_forwards(text, text, text, integer, integer, integer, integer, text[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.cron_forwards(field text, low_word text, high_word text, low integer, high integer, first integer, last integer, names text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (((CASE WHEN ((field = 'day-of-week'::text) AND (high = first)) THEN ', because SUN is 0'::text ELSE ''::text END || ': write '::text) || CASE WHEN (low > last) THEN ''::text WHEN (low = last) THEN (low_word || ','::text) ELSE (((low_word || '-'::text) || CASE WHEN (low_word = ANY (names)) THEN (names)[cardinality(names)] ELSE (last)::text END) || ','::text) END) || CASE WHEN (high = first) THEN high_word ELSE ((CASE WHEN (high_word = ANY (names)) THEN (names)[1] ELSE (first)::text END || '-'::text) || high_word) END);


--
-- Name: cron_item(text, text, integer, integer, integer, text, text[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.cron_item(field text, item text, lowest integer, highest integer, size integer, allowed text, names text[], OUT numbers integer[], OUT problem text) RETURNS record
    LANGUAGE plpgsql IMMUTABLE
    AS $_$
declare
    span text := split_part(item, '/', 1);
    step_text text := substr(item, length(span) + 2);
    has_step bool := position('/' in item) > 0;
    has_end bool := position('-' in span) > 0;
    low int := lowest;
    high int := highest;
    step int := 1;
    found record;
begin
    if item = '' then
        problem := format('%s has an empty item: write %s, *, a range or a list', field, allowed);
    elsif item like '%?%' then
        problem := format('%s "%s" is not supported: write * for ?', field, item);
    elsif field = 'day-of-month' and item like '%W%' then
        problem := format('%s "%s" is not supported: there is no W (nearest weekday)', field, item);
    elsif item ~ '^H([(/]|$)' then
        problem := format(
            '%s "%s" is not supported: there is no H; use the column jitter to spread the start times', field, item);
    elsif field = 'day-of-month' and item like 'L-%' then
        problem := format('%s "%s" is not supported: only L itself, the last day of the month', field, item);
    elsif field = 'day-of-month' and item = 'L' then
        numbers := '{32}';
    elsif field = 'day-of-week' and item ~ '^([0-7]L|L[0-7])$' then
        numbers := array[60 + trim('L' from item)::int];
    elsif field = 'day-of-week' and (item = 'L' or item ~ '^([A-Z]{3}L|L[A-Z]{3})$' and trim('L' from item) = any (names)) then
        problem := format('%s "%s" is not understood: ', field, item) || coalesce(
            'write ' || array_position(names, trim('L' from item)) - 1 || 'L for the last ' || trim('L' from item)
                || ' of the month',
            'write L with its day, such as 5L for the last Friday of the month');
    elsif field = 'day-of-week' and item like '%#%' then
        found := tidemill.cron_value(field, item, split_part(item, '#', 1), lowest, highest, allowed, names);
        problem := found.problem;
        step_text := substr(item, position('#' in item) + 1);
        if problem is null and step_text !~ '^[1-5]$' then
            problem := format('%s "%s" is not understood: write a number from 1 to 5 after #', field, item);
        elsif problem is null then
            numbers := array[10 * step_text::int + found.number];
        end if;
    end if;
    if problem is not null or numbers is not null then
        return;
    end if;
    if span <> '*' then
        found := tidemill.cron_value(field, item, split_part(span, '-', 1), lowest, highest, allowed, names);
        low := found.number;
        problem := found.problem;
        if problem is null and has_end then
            found := tidemill.cron_value(
                field, item, substr(span, position('-' in span) + 1), lowest, highest, allowed, names);
            high := found.number;
            problem := found.problem;
        elsif not has_step then
            high := low;
        end if;
    end if;
    if problem is null and low > high then
        problem := format('%s "%s" runs backwards', field, item) || case
            when has_step then ': the smaller value of a range comes first'
            else tidemill.cron_forwards(
                field, split_part(span, '-', 1), split_part(span, '-', 2), low, high, lowest,
                case field when 'day-of-week' then 6 else highest end, names)
        end;
    elsif problem is null and has_step then
        if step_text !~ '^[0-9]{1,4}$' or step_text::int not between 1 and size then
            problem := format('%s "%s" has no valid step: write a number from 1 to %s after /', field, item, size);
        else
            step := step_text::int;
        end if;
    end if;
    if problem is null then
        numbers := array(select generate_series(low, high, step));
    end if;
end
$_$;


--
-- Name: cron_value(text, text, text, integer, integer, text, text[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.cron_value(field text, item text, value text, lowest integer, highest integer, allowed text, names text[], OUT number integer, OUT problem text) RETURNS record
    LANGUAGE plpgsql IMMUTABLE
    AS $_$
begin
    if value = any (names) then
        -- Names count from the lowest value of the field: months from 1, weekdays from 0.
        number := array_position(names, value) - 1 + lowest;
    elsif value !~ '^[0-9]{1,4}$' then
        problem := format('%s "%s" is not understood: write %s, *, a range or a list', field, item, allowed);
    elsif value::int not between lowest and highest then
        problem := format('%s "%s" is out of range: write %s', field, item, allowed);
    else
        number := value::int;
    end if;
end
$_$;


--
-- Name: dag_access(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.dag_access() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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


--
-- Name: dag_after_change(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.dag_after_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if current_setting('tidemill.compiling', true) = 'on' then
        return null;
    end if;
    if tg_op = 'DELETE' then
        delete from tidemill.dag_nodes where dag_id = old.dag_id;
    elsif tg_op = 'UPDATE' and new.dag_id <> old.dag_id then
        update tidemill.dag_nodes set dag_id = new.dag_id where dag_id = old.dag_id;
    end if;
    if tg_op <> 'INSERT' and old.version is not null and (tg_op = 'DELETE' or new.dag_id <> old.dag_id) then
        insert into tidemill.definitions (owner, kind, version, valid_from, deleted, spec)
        values (old.dag_id, 'dag', tidemill.locked_version(old.dag_id), clock_timestamp(), true, null);
    end if;
    if tg_op <> 'DELETE' then
        perform tidemill.mark_dags(array[new.dag_id]);
    end if;
    return null;
end
$$;


--
-- Name: dag_before_change(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.dag_before_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    said text;
    named text;
begin
    if current_setting('tidemill.compiling', true) = 'on' then
        return new;
    end if;
    new.schedule := tidemill.normal_white_space(new.schedule);
    new.overlap_policy := tidemill.normal_overlap_policy(new.overlap_policy);
    new.starts_at := tidemill.whole_milliseconds(new.starts_at);
    new.ends_at := tidemill.whole_milliseconds(new.ends_at);
    new.resumed_at := tidemill.whole_milliseconds(new.resumed_at);
    -- Raise it again, as in `job_before_change`.
    begin
        perform tidemill.check_dag(new);
    exception when check_violation then
        get stacked diagnostics said = message_text, named = column_name;
        raise exception using errcode = 'check_violation', message = said, schema = 'tidemill', column = named;
    end;
    new.version := null;
    new.updated_at := null;
    if tg_op = 'UPDATE' and new.dag_id = old.dag_id then
        new.version := old.version;
        new.updated_at := old.updated_at;
    end if;
    return new;
end
$$;


--
-- Name: dag_changed(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.dag_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    changed text[];
    each text;
    said text;
    in_column text;
    in_table text;
begin
    with gone as (
        delete from tidemill.dag_changes where changed_by = new.changed_by returning dag_id
    )
    select coalesce(array_agg(dag_id order by dag_id collate "C"), '{}') into changed from gone;
    -- Raise it again, as in `job_before_change`.
    begin
        foreach each in array changed loop
            perform tidemill.compile_dag(each);
        end loop;
    exception when check_violation then
        get stacked diagnostics said = message_text, in_column = column_name, in_table = table_name;
        raise exception using
            errcode = 'check_violation', message = said, schema = 'tidemill', column = in_column, table = in_table;
    end;
    return null;
end
$$;


--
-- Name: dag_cycle(integer[], integer[], integer[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.dag_cycle(waits integer[], children integer[], starts integer[]) RETURNS integer[]
    LANGUAGE plpgsql IMMUTABLE
    AS $$
declare
    size int := cardinality(waits);
    -- One dependency that each node waits for: following it from node to node leads into a cycle.
    above int[] := array_fill(null::int, array[size]);
    passed bool[] := array_fill(false, array[size]);
    node int;
    cycle int[];
    lowest int;
begin
    for parent in 1..size loop
        continue when waits[parent] = 0;
        for i in starts[parent]..starts[parent + 1] - 1 loop
            above[children[i]] := coalesce(above[children[i]], parent);
        end loop;
        node := coalesce(node, parent);
    end loop;
    while not passed[node] loop
        passed[node] := true;
        node := above[node];
    end loop;
    lowest := node;
    cycle := array[node];
    loop
        node := above[node];
        exit when node = cycle[1];
        cycle := cycle || node;
        lowest := least(lowest, node);
    end loop;
    -- Reverse it, because it was collected upwards, and start with the node whose name sorts first.
    cycle := array(select each from unnest(cycle) with ordinality as found (each, place) order by place desc);
    size := array_position(cycle, lowest);
    return cycle[size:] || cycle[:size];
end
$$;


--
-- Name: dag_order(text, text[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.dag_order(of_dag text, names text[]) RETURNS integer[]
    LANGUAGE plpgsql STABLE
    SET enable_nestloop TO 'off'
    AS $$
declare
    size int := cardinality(names);
    waits int[];
    children int[];
    starts int[];
    ordered int[] := array_fill(0, array[size]);
    reached int := 0;
    child int;
begin
    with nodes as materialized (
        select name, number::int from unnest(names) with ordinality as each (name, number)
    ), needs as materialized (
        select node_id, unnest(depends_on) as needed from tidemill.dag_nodes where dag_id = of_dag
    ), edges as materialized (
        select above.number as parent, below.number as child
        from needs
        join nodes as above on above.name = needs.needed
        join nodes as below on below.name = needs.node_id
    ), per_node as materialized (
        select
            nodes.number,
            coalesce(upward.edges, 0) as waits,
            coalesce(sum(downward.edges) over (order by nodes.number), 0) + 1 as next_start
        from nodes
        left join (select edges.child, count(*) as edges from edges group by 1) as upward on upward.child = number
        left join (select edges.parent, count(*) as edges from edges group by 1) as downward on downward.parent = number
    )
    select
        (select array_agg(per_node.waits order by number) from per_node),
        (select array_agg(edges.child order by parent, edges.child) from edges),
        1 || (select array_agg(next_start::int order by number) from per_node)
    into waits, children, starts;
    for node in 1..size loop
        if waits[node] = 0 then
            reached := reached + 1;
            ordered[reached] := node;
        end if;
    end loop;
    for place in 1..size loop
        if place > reached then
            perform tidemill.refuse_dag(of_dag, 'its dependencies form a cycle: ' || tidemill.shown_path(array(
                select names[node] from unnest(tidemill.dag_cycle(waits, children, starts)) as node)));
        end if;
        for i in starts[ordered[place]]..starts[ordered[place] + 1] - 1 loop
            child := children[i];
            waits[child] := waits[child] - 1;
            if waits[child] = 0 then
                reached := reached + 1;
                ordered[reached] := child;
            end if;
        end loop;
    end loop;
    return ordered;
end
$$;


--
-- Name: spec_with(jsonb, text, json); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.spec_with(spec jsonb, field text, value json) RETURNS json
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (value IS NULL) THEN (spec)::json ELSE (((((("left"((spec)::text, '-1'::integer) || ', '::text) || (to_json(field))::text) || ': '::text) || (value)::text) || '}'::text))::json END;


--
-- Name: wire_duration(interval); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.wire_duration(value interval) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (('PT'::text || (trim_scale(EXTRACT(epoch FROM value)))::text) || 'S'::text);


--
-- Name: wire_instant(timestamp with time zone); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.wire_instant(value timestamp with time zone) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN to_char((value AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'::text);


--
-- Name: dag_spec(tidemill.dags, json); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.dag_spec(dag tidemill.dags, nodes json) RETURNS json
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN tidemill.spec_with(jsonb_strip_nulls(jsonb_build_object('dag_id', (dag).dag_id, 'tenant', (dag).tenant, 'schedule', (dag).schedule, 'timezone', (dag).timezone, 'overlap_policy', (dag).overlap_policy, 'buffer_limit', (dag).buffer_limit, 'max_active_epochs', (dag).max_active_epochs, 'dag_timeout', tidemill.wire_duration((dag).dag_timeout), 'on_delete', (dag).on_delete, 'catchup_policy', (dag).catchup_policy, 'catchup_window', tidemill.wire_duration((dag).catchup_window), 'catchup_after_pause', (dag).catchup_after_pause, 'misfire_grace', tidemill.wire_duration((dag).misfire_grace), 'start_deadline', tidemill.wire_duration((dag).start_deadline), 'jitter', tidemill.wire_duration((dag).jitter), 'dst_gap', (dag).dst_gap, 'dst_fold', (dag).dst_fold, 'max_runs', (dag).max_runs, 'pause_on_failure', (dag).pause_on_failure, 'resumed_at', tidemill.wire_instant((dag).resumed_at), 'paused', (dag).paused, 'paused_note', (dag).paused_note, 'starts_at', tidemill.wire_instant((dag).starts_at), 'ends_at', tidemill.wire_instant((dag).ends_at))), 'nodes'::text, nodes);


--
-- Name: definition_before_insert(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.definition_before_insert() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    if pg_trigger_depth() = 1 and current_setting('tidemill.healing', true) is distinct from 'on' then
        raise exception using
            errcode = 'check_violation',
            message = 'INSERT into tidemill.definitions is refused: triggers append to it; write to tidemill.jobs or tidemill.dags';
    end if;
    return new;
end
$$;


--
-- Name: delete_unknown(text[], text[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.delete_unknown(known_owners text[], known_kinds text[]) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
    deleted_count bigint;
begin
    perform set_config('tidemill.healing', 'on', true), set_config('tidemill.keeping', 'on', true);
    insert into tidemill.definitions (owner, kind, version, valid_from, deleted, spec)
    select known.owner, known.kind, tidemill.locked_version(known.owner), clock_timestamp(), true, null
    from unnest(known_owners, known_kinds) as known (owner, kind)
    where not exists (select from tidemill.jobs where job_id = known.owner)
        and not exists (select from tidemill.dags where dag_id = known.owner);
    get diagnostics deleted_count = row_count;
    perform set_config('tidemill.healing', 'off', true), set_config('tidemill.keeping', 'off', true);
    return deleted_count;
end
$$;


--
-- Name: differing(jsonb, jsonb); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.differing(written jsonb, other jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    select coalesce(jsonb_object_agg(key, value), '{}')
    from jsonb_each(written) where value is distinct from other -> key
$$;


--
-- Name: fence(text, bigint); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.fence(run_id text, token bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if not tidemill.fence_ok(run_id, token) then
        raise exception using
            errcode = 'TM001',
            message = format('run %s has a newer attempt: token %s is no longer valid', run_id, token),
            hint = 'Tidemill gave this attempt up as lost. Roll back and exit: the newer attempt writes the same data.';
    end if;
end
$$;


--
-- Name: fence_ok(text, bigint); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.fence_ok(run_id text, token bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: forget_exceptions(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.forget_exceptions() RETURNS void
    LANGUAGE sql
    AS $$
    select set_config('tidemill.numbering', 'off', true), set_config('tidemill.compiling', 'off', true)
$$;


--
-- Name: runs; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.runs (
    run_id text NOT NULL,
    job_id text NOT NULL,
    dag_id text,
    node_id text,
    tenant text NOT NULL,
    kind text NOT NULL,
    nominal_time timestamp with time zone NOT NULL,
    scheduled_time timestamp with time zone NOT NULL,
    state text NOT NULL,
    reason text,
    reason_code text,
    blocked_by text,
    attempt integer NOT NULL,
    timeout_class text,
    executor_id text,
    queued_at timestamp with time zone,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    exit_code integer,
    log_uri text,
    request_id text,
    rerun_id text,
    traceparent text,
    missed_from timestamp with time zone,
    missed_to timestamp with time zone,
    missed_count bigint,
    missed_at_least boolean,
    nodes jsonb,
    dag_version bigint,
    result json,
    result_bytes integer,
    result_uri text,
    result_sha256 text,
    next_nodes jsonb,
    first_started_at timestamp with time zone,
    version bigint NOT NULL,
    filed_on date DEFAULT ((clock_timestamp() AT TIME ZONE 'UTC'::text))::date NOT NULL
)
PARTITION BY RANGE (filed_on);


--
-- Name: goes(tidemill.runs, boolean); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.goes(run tidemill.runs, keep_failures boolean) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    select not (keep_failures and tidemill.is_failure(run.state) and (run.node_id is null or exists (
        select from tidemill.runs as dag_run
        where dag_run.run_id = split_part(run.run_id, '/', 1) and dag_run.filed_on between
                tidemill.week_of(run.filed_on) and tidemill.week_of(run.filed_on) + 6
            and tidemill.is_failure(dag_run.state))))
$$;


--
-- Name: has_kind(name, text[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.has_kind(who name, kinds text[]) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return exists (
        select from tidemill.roles as known join pg_roles as each on each.rolname = known.name
        where known.kind = any (kinds) and pg_has_role(who, each.oid, 'USAGE'));
end
$$;


--
-- Name: has_logs(date, boolean); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.has_logs(week date, keep_failures boolean) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    select exists (
        select from tidemill.stories as story
        join tidemill.runs as run using (run_id, filed_on)
        where filed_on >= week and filed_on < week + 7 and story.oldest_log is not null
            and tidemill.goes(run, keep_failures)
    )
$$;


--
-- Name: is_among(text, text[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.is_among(tenant text, tenants text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (COALESCE((tenant = ANY (tenants)), false) OR ('*'::text = ANY (tenants)));


--
-- Name: is_deep(text, integer); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.is_deep(value text, levels integer) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
declare
    brackets text := regexp_replace(value, '"[^"\\]*(\\.[^"\\]*)*"|[^][{}"]+', '', 'g');
begin
    for level in 1..levels loop
        exit when brackets = '';
        brackets := replace(replace(brackets, '[]', '<>'), '{}', '<>');
        brackets := replace(brackets, '<>', '');
    end loop;
    return brackets <> '';
end
$$;


--
-- Name: is_failure(text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.is_failure(state text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (state = ANY (ARRAY['failed'::text, 'timed_out'::text, 'dead'::text, 'upstream_failed'::text]));


--
-- Name: is_id(text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.is_id(value text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((length(value) <= 200) AND ((value ~ '^[A-Za-z0-9_.:-]+$'::text) OR ((value <> ''::text) AND (value !~ '[@#/~]'::text) AND (value !~ '[\u0001-\u001f\u007f-\u00a0\u00ad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000]'::text) AND (value !~ '[\ue000-\uf8ff\ufeff\ufff9-\ufffb]'::text))));


--
-- Name: is_open(text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.is_open(state text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (state = ANY (ARRAY['queued'::text, 'running'::text, 'retry_wait'::text, 'cancelling'::text]));


--
-- Name: is_owner(name); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.is_owner(who name) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return pg_has_role(who, (select relowner from pg_class where oid = 'tidemill.jobs'::regclass), 'USAGE');
end
$$;


--
-- Name: is_plain_cron(text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.is_plain_cron(schedule text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (schedule ~ '^(?:\*|\*/[1-9]|\*/[1-5][0-9]|[0-5]?[0-9]) (?:\*|\*/[1-9]|\*/1[0-9]|\*/2[0-3]|[01]?[0-9]|2[0-3]) (?:\*|0?[1-9]|1[0-9]|2[0-8]) (?:\*|0?[1-9]|1[0-2]) (?:\*|[0-7])$'::text);


--
-- Name: is_taken(text, text[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.is_taken(of_owner text, mine text[]) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select exists (select from tidemill.owners where owner = of_owner and not tidemill.is_among(tenant, mine))
        or exists (select from tidemill.dags where dag_id = of_owner and not tidemill.is_among(tenant, mine))
$$;


--
-- Name: is_writable(timestamp with time zone); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.is_writable(instant timestamp with time zone) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((instant >= '1970-01-01 00:00:00+00'::timestamp with time zone) AND (instant <= '2199-12-31 23:59:59.999+00'::timestamp with time zone));


--
-- Name: job_access(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.job_access() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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


--
-- Name: job_after_change(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.job_after_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if current_setting('tidemill.numbering', true) = 'on' then
        return null;
    end if;
    if tg_op = 'DELETE' or (tg_op = 'UPDATE' and new.job_id <> old.job_id) then
        insert into tidemill.definitions (owner, kind, version, valid_from, deleted, spec)
        values (old.job_id, 'job', tidemill.locked_version(old.job_id), clock_timestamp(), true, null);
    end if;
    if tg_op = 'INSERT' or (tg_op = 'UPDATE' and new.job_id <> old.job_id) then
        new := tidemill.numbered_job(new);
    end if;
    if tg_op = 'INSERT' or (tg_op = 'UPDATE' and new.version <> old.version) then
        insert into tidemill.definitions (owner, kind, version, valid_from, deleted, spec)
        values (new.job_id, 'job', new.version, clock_timestamp(), false, tidemill.job_spec(new));
    end if;
    return null;
end
$$;


--
-- Name: job_before_change(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.job_before_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    said text;
    named text;
begin
    if current_setting('tidemill.numbering', true) = 'on' then
        return new;
    end if;
    new := tidemill.normal_job(new);
    -- Raise it again, so that psql shows one line of context below the sentence instead of one for each function.
    begin
        perform tidemill.check_job(new);
        if tg_op = 'UPDATE' then
            perform tidemill.check_pinned(old.executable, new.executable, old.sha256, new.sha256);
        end if;
    exception when check_violation then
        get stacked diagnostics said = message_text, named = column_name;
        raise exception using errcode = 'check_violation', message = said, schema = 'tidemill', column = named;
    end;
    if tg_op = 'UPDATE' and tidemill.job_spec(new)::text is not distinct from tidemill.job_spec(old)::text then
        new.version := old.version;
        new.updated_at := old.updated_at;
        return new;
    end if;
    new.version := nextval('tidemill.definition_version');
    new.updated_at := clock_timestamp();
    return new;
end
$$;


--
-- Name: job_spec(tidemill.jobs); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.job_spec(job tidemill.jobs) RETURNS json
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN tidemill.spec_with((jsonb_strip_nulls(jsonb_build_object('job_id', (job).job_id, 'tenant', (job).tenant, 'schedule', (job).schedule, 'timezone', (job).timezone, 'executable', (job).executable, 'sha256', (job).sha256, 'timeout', tidemill.wire_duration((job).timeout), 'timeout_class', (job).timeout_class, 'promote', (job).promote, 'max_attempts', (job).max_attempts, 'initial_interval', tidemill.wire_duration((job).initial_interval), 'backoff_coefficient', (job).backoff_coefficient, 'max_interval', tidemill.wire_duration((job).max_interval), 'retry_jitter', (job).retry_jitter, 'non_retryable_exit_codes', to_jsonb((job).non_retryable_exit_codes), 'max_infra_retries', (job).max_infra_retries, 'max_retry_duration', tidemill.wire_duration((job).max_retry_duration), 'overlap_policy', (job).overlap_policy, 'buffer_limit', (job).buffer_limit, 'concurrency_limit', (job).concurrency_limit, 'cancel_grace', tidemill.wire_duration((job).cancel_grace), 'on_delete', (job).on_delete, 'catchup_policy', (job).catchup_policy, 'catchup_window', tidemill.wire_duration((job).catchup_window), 'catchup_after_pause', (job).catchup_after_pause, 'misfire_grace', tidemill.wire_duration((job).misfire_grace), 'start_deadline', tidemill.wire_duration((job).start_deadline), 'jitter', tidemill.wire_duration((job).jitter), 'dst_gap', (job).dst_gap, 'dst_fold', (job).dst_fold, 'max_runs', (job).max_runs, 'pause_on_failure', (job).pause_on_failure, 'resumed_at', tidemill.wire_instant((job).resumed_at), 'paused', (job).paused, 'paused_note', (job).paused_note, 'starts_at', tidemill.wire_instant((job).starts_at), 'ends_at', tidemill.wire_instant((job).ends_at), 'sandbox', (job).sandbox, 'memory', (job).memory, 'disk', (job).disk, 'cpu', (job).cpu, 'pids', (job).pids, 'network', (job).network, 'unveil', to_jsonb(NULLIF((job).unveil, '{}'::text[])))) || jsonb_build_object('args', (job).args, 'env', (job).env)), 'payload'::text, (job).payload);


--
-- Name: keep_only(text, date, text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.keep_only(parent text, week date, what text) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
    child text := format('%s_%s', parent, to_char(week, 'YYYYMMDD'));
    kept text := child || '_kept';
    columns text := (
        select string_agg(quote_ident(attname), ', ' order by attnum)
        from pg_attribute
        where attrelid = ('tidemill.' || parent)::regclass and attnum > 0 and not attisdropped and attgenerated = '');
begin
    execute format(
        'create table tidemill.%I (like tidemill.%I '
        'including defaults including constraints including generated including indexes)',
        kept, parent);
    execute format(
        'insert into tidemill.%I (%s) select %s from %s', kept, columns, 'each.' || replace(columns, ', ', ', each.'), what);
    execute format('drop table tidemill.%I', child);
    execute format('alter table tidemill.%I rename to %I', kept, child);
    execute format(
        'alter table tidemill.%I attach partition tidemill.%I for values from (%L) to (%L)',
        parent, child, week, week + 7);
end
$$;


--
-- Name: weeks; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.weeks (
    week date NOT NULL,
    written bigint DEFAULT 0 NOT NULL,
    last_at timestamp with time zone,
    reduced bigint
);


--
-- Name: kept_from(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.kept_from() RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    RETURN (SELECT tidemill.begin_of(COALESCE(GREATEST(min(weeks.week), (max(weeks.week) FILTER (WHERE (weeks.reduced IS NOT NULL)) + 7)), '1970-01-01'::date)) AS begin_of FROM tidemill.weeks);


--
-- Name: locked_version(text, bigint); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.locked_version(of_owner text, taken bigint DEFAULT NULL::bigint) RETURNS bigint
    LANGUAGE sql
    AS $$
    insert into tidemill.owners as known (owner, version)
    values (of_owner, coalesce(taken, nextval('tidemill.definition_version')))
    -- Not excluded.version: it may have been taken before the wait for the lock.
    on conflict (owner) do update set version =
        case when taken > known.version then taken else nextval('tidemill.definition_version') end
    returning version
$$;


--
-- Name: make_week(date); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.make_week(day date) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    monday date := tidemill.week_of(day);
    parent text;
    child text;
begin
    if day > (clock_timestamp() at time zone 'UTC')::date + 35 then
        perform tidemill.refuse('filed_on', day::text, 'it is more than 35 days in the future');
    end if;
    perform pg_advisory_xact_lock(hashtext('tidemill.partitions'));
    foreach parent in array tidemill.weekly_tables() loop
        child := format('%s_%s', parent, to_char(monday, 'YYYYMMDD'));
        continue when to_regclass('tidemill.' || child) is not null;
        execute format(
            'create table tidemill.%I (like tidemill.%I '
            'including defaults including constraints including generated including indexes)',
            child, parent);
        execute format(
            'alter table tidemill.%I attach partition tidemill.%I for values from (%L) to (%L)',
            parent, child, monday || ' 00:00:00+00', monday + 7 || ' 00:00:00+00');
    end loop;
    insert into tidemill.weeks (week) values (monday) on conflict do nothing;
end
$$;


--
-- Name: mark_dags(text[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.mark_dags(changed text[]) RETURNS void
    LANGUAGE sql
    AS $$
    insert into tidemill.dag_changes (dag_id, changed_by)
    select distinct dag_id, pg_current_xact_id() from unnest(changed) as dag_id
    on conflict do nothing
$$;


--
-- Name: member_before_change(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.member_before_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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


--
-- Name: tenants_of(name, text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.tenants_of(who name, wanted text) RETURNS text[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: my_tenants(text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.my_tenants(wanted text) RETURNS text[]
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN tidemill.tenants_of(CURRENT_USER, wanted);


--
-- Name: no_backfill(tidemill.requests); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.no_backfill(request tidemill.requests) RETURNS tidemill.requests
    LANGUAGE plpgsql IMMUTABLE
    AS $$
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


--
-- Name: node_access(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.node_access() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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


--
-- Name: node_before_change(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.node_before_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    said text;
    named text;
begin
    -- Raise it again, as in `job_before_change`.
    begin
        new.payload := tidemill.normal_json(new.payload);
        perform tidemill.check_node(new);
        if tg_op = 'UPDATE' then
            perform tidemill.check_pinned(old.executable, new.executable, old.sha256, new.sha256);
        end if;
    exception when check_violation then
        get stacked diagnostics said = message_text, named = column_name;
        raise exception using errcode = 'check_violation', message = said, schema = 'tidemill', column = named;
    end;
    return new;
end
$$;


--
-- Name: node_end(tidemill.runs); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.node_end(node tidemill.runs) RETURNS json
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN tidemill.spec_with((jsonb_build_object('state', (node).state, 'attempt', (node).attempt) || CASE WHEN ((node).next_nodes IS NULL) THEN '{}'::jsonb ELSE jsonb_build_object('next_nodes', (node).next_nodes) END), 'result'::text, CASE WHEN ((node).result_bytes IS NULL) THEN NULL::json WHEN ((node).result_uri IS NULL) THEN tidemill.spec_with(jsonb_build_object('bytes', (node).result_bytes), 'value'::text, (node).result) ELSE json_build_object('bytes', (node).result_bytes, 'uri', (node).result_uri, 'sha256', (node).result_sha256) END);


--
-- Name: node_spec(tidemill.dag_nodes); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.node_spec(node tidemill.dag_nodes) RETURNS json
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN tidemill.spec_with(jsonb_strip_nulls(jsonb_build_object('node_id', (node).node_id, 'depends_on', to_jsonb(NULLIF((node).depends_on, '{}'::text[])), 'trigger_rule', NULLIF((node).trigger_rule, 'all_success'::text), 'executable', (node).executable, 'sha256', (node).sha256, 'args', NULLIF((node).args, '[]'::jsonb), 'env', NULLIF((node).env, '{}'::jsonb), 'timeout', tidemill.wire_duration((node).timeout), 'timeout_class', (node).timeout_class, 'promote', NULLIF((node).promote, true), 'max_attempts', NULLIF((node).max_attempts, 1), 'initial_interval', tidemill.wire_duration(NULLIF((node).initial_interval, '00:00:01'::interval)), 'backoff_coefficient', NULLIF((node).backoff_coefficient, (2.0)::double precision), 'max_interval', tidemill.wire_duration(NULLIF((node).max_interval, '00:01:00'::interval)), 'retry_jitter', NULLIF((node).retry_jitter, (0.1)::double precision), 'non_retryable_exit_codes', to_jsonb(NULLIF((node).non_retryable_exit_codes, '{}'::integer[])), 'skip_exit_codes', to_jsonb(NULLIF((node).skip_exit_codes, '{}'::integer[])), 'max_infra_retries', NULLIF((node).max_infra_retries, 10), 'max_retry_duration', tidemill.wire_duration((node).max_retry_duration), 'cancel_grace', tidemill.wire_duration(NULLIF((node).cancel_grace, '00:00:30'::interval)), 'sandbox', (node).sandbox, 'memory', (node).memory, 'disk', (node).disk, 'cpu', (node).cpu, 'pids', (node).pids, 'network', (node).network, 'unveil', to_jsonb(NULLIF((node).unveil, '{}'::text[])))), 'payload'::text, (node).payload);


--
-- Name: nodes_after_change(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.nodes_after_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if tg_op <> 'INSERT' then
        perform tidemill.mark_dags(array(select distinct dag_id from before_it));
    end if;
    if tg_op <> 'DELETE' then
        perform tidemill.mark_dags(array(select distinct dag_id from after_it));
    end if;
    return null;
end
$$;


--
-- Name: normal_job(tidemill.jobs); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.normal_job(job tidemill.jobs) RETURNS tidemill.jobs
    LANGUAGE plpgsql IMMUTABLE
    AS $$
begin
    job.schedule := tidemill.normal_white_space(job.schedule);
    job.payload := tidemill.normal_json(job.payload);
    job.overlap_policy := tidemill.normal_overlap_policy(job.overlap_policy);
    job.starts_at := tidemill.whole_milliseconds(job.starts_at);
    job.ends_at := tidemill.whole_milliseconds(job.ends_at);
    job.resumed_at := tidemill.whole_milliseconds(job.resumed_at);
    return job;
end
$$;


--
-- Name: normal_json(json); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.normal_json(value json) RETURNS json
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN ((value)::text ~ '^\s|\s$'::text) THEN (btrim((value)::text, ' 	
'::text))::json ELSE value END;


--
-- Name: normal_overlap_policy(text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.normal_overlap_policy(word text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE lower(word) WHEN 'allow'::text THEN 'allow_all'::text WHEN 'forbid'::text THEN 'skip'::text WHEN 'replace'::text THEN 'cancel_other'::text ELSE word END;


--
-- Name: normal_white_space(text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.normal_white_space(value text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (value !~ '[\t\r\n]|^ |  | $'::text) THEN value ELSE TRIM(BOTH FROM regexp_replace(value, '[ \t\r\n]+'::text, ' '::text, 'g'::text)) END;


--
-- Name: note_alert(text, bigint, text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.note_alert(code text, number bigint, reason text) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
    perform tidemill.make_week((clock_timestamp() at time zone 'UTC')::date);
    insert into tidemill.problems (at, partition, record_offset, topic_id, source_topic, kind, code, reason)
    values (clock_timestamp(), -1, number, '', 'definitions', 'alert', note_alert.code, note_alert.reason);
end
$$;


--
-- Name: note_comparison(bigint, text, bigint); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.note_comparison(differing bigint, refusal text, number bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    before tidemill.reconciliation;
begin
    select * into before from tidemill.reconciliation for update;
    update tidemill.reconciliation
    set compared_at = clock_timestamp(), differing = note_comparison.differing, refusal = note_comparison.refusal,
        differing_since = case when note_comparison.differing > 0
            then coalesce(before.differing_since, clock_timestamp()) end;
    if note_comparison.refusal is not null and before.refusal is null and number is not null then
        perform tidemill.note_alert('definitions_differ', number, note_comparison.refusal);
    end if;
end
$$;


--
-- Name: note_healing(bigint, bigint, text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.note_healing(healed bigint, version bigint, reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    update tidemill.reconciliation as known
    set healed = known.healed + note_healing.healed, healed_at = clock_timestamp();
    perform tidemill.note_alert('definitions_healed', version, reason);
end
$$;


--
-- Name: note_restore(bigint); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.note_restore(applied bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    given bigint := (select last_value from tidemill.definition_version);
begin
    if applied <= given then
        return false;
    end if;
    insert into tidemill.restored (given, applied) values (given, note_restore.applied) on conflict do nothing;
    if not found then
        return false;
    end if;
    perform tidemill.note_alert('database_restored', note_restore.applied, format(
        'the database was restored from a backup: its last version is %s, and the streams have applied %s; '
        'changes of jobs and DAGs have no effect until you run `tidemill restored`', given, applied));
    return true;
end
$$;


--
-- Name: note_sha256(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.note_sha256() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    perform set_config('tidemill.sha256_named', tg_argv[0], true);
    return null;
end
$$;


--
-- Name: numbered_job(tidemill.jobs); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.numbered_job(job tidemill.jobs) RETURNS tidemill.jobs
    LANGUAGE plpgsql
    AS $$
declare
    taken bigint := job.version;
begin
    job.version := tidemill.locked_version(job.job_id, taken);
    if exists (select from tidemill.dags where dag_id = job.job_id) then
        perform tidemill.refuse('job_id', job.job_id, 'a DAG has this id; jobs and DAGs share one name space');
    end if;
    if job.version <> taken then
        perform tidemill.renumber_job(job);
    end if;
    return job;
end
$$;


--
-- Name: oldest_log(tidemill.attempt[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.oldest_log(attempts tidemill.attempt[]) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT min(unnest.dispatched_at) AS min FROM unnest(oldest_log.attempts) unnest(attempt, token, timeout_class, dispatched_at, executor_id, claimed_at, started_at, finished_at, ended_as, exit_code, reason, reason_code, sha256, output, output_bytes, log_uri, peak_memory, cpu_seconds, log_deleted_at) WHERE ((unnest.log_deleted_at IS NULL) AND ((unnest.log_uri IS NOT NULL) OR ((unnest.started_at IS NOT NULL) AND (unnest.output IS NULL)))));


--
-- Name: one_line(text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.one_line(value text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN regexp_replace(value, '[\u0001-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]'::text, '�'::text, 'g'::text);


--
-- Name: only_operates(jsonb, jsonb); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.only_operates(old_row jsonb, new_row jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((old_row - '{paused,paused_note,resumed_at,catchup_after_pause}'::text[]) = (new_row - '{paused,paused_note,resumed_at,catchup_after_pause}'::text[]));


--
-- Name: open_in(date); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.open_in(week date) RETURNS text
    LANGUAGE sql STABLE
    AS $$
    select format('the week of %s is not pruned: run %s', week, min((run_id || ' is ' || state) collate "C"))
        || case when count(*) > 1 then format(', and %s more of that week %s open',
            count(*) - 1, case count(*) when 2 then 'is' else 'are' end) else '' end
    from tidemill.runs
    where filed_on >= week and filed_on < week + 7
        and state <> 'succeeded' and state in ('queued', 'running', 'retry_wait', 'cancelling')
    having count(*) > 0
$$;


--
-- Name: owner_before_change(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.owner_before_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    new.tenant := coalesce(
        (select tenant from tidemill.jobs where job_id = new.owner),
        (select tenant from tidemill.dags where dag_id = new.owner),
        new.tenant);
    return new;
end
$$;


--
-- Name: owner_of_run(text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.owner_of_run(run_id text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN "substring"(run_id, '^([^@#]+)[@#].'::text);


--
-- Name: prune(interval); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.prune(older_than interval) RETURNS TABLE(week date, reason text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    due record;
begin
    if older_than is null or older_than < interval '0' then
        perform tidemill.refuse(
            'older_than', older_than::text, 'it must be a duration such as 90 days, and not negative');
    end if;
    -- The key is `connectors.retention.LOCK_KEY`.
    if not pg_try_advisory_xact_lock(1910374946) then
        raise exception using
            errcode = 'lock_not_available',
            message = 'a sink is pruning now; try again when it is done';
    end if;
    for due in select * from tidemill.weeks_to_prune(older_than, older_than) loop
        week := due.week;
        reason := coalesce(due.reason, tidemill.prune_week(due.week, due.keep_failures, due.mark));
        return next;
    end loop;
end
$$;


--
-- Name: prune_definitions(interval); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.prune_definitions(older_than interval) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    oldest_kept timestamptz := tidemill.captured_until() - older_than;
    looked_until timestamptz := (select until from tidemill.definitions_pruned for update);
    gone text[];
    unused text;
begin
    if oldest_kept is null or oldest_kept <= looked_until then
        return 0;
    end if;
    perform set_config('tidemill.pruning', 'on', true);
    with newer as materialized (
        select owner, kind, version, deleted
        from tidemill.definitions
        where valid_from >= looked_until and valid_from < oldest_kept
    ), pruned as (
        delete from tidemill.definitions as old
        using newer
        where old.owner = newer.owner and old.kind = newer.kind
            and (old.version < newer.version or (newer.deleted and old.version = newer.version))
        returning old.owner
    )
    select coalesce(array_agg(owner), '{}') into gone from pruned;
    perform set_config('tidemill.pruning', 'off', true), set_config('tidemill.keeping', 'on', true);
    update tidemill.definitions_pruned set until = oldest_kept;
    -- Check again with the lock held: its previous holder may have appended a version.
    for unused in
        select known.owner from tidemill.owners as known
        where known.owner = any (gone)
            and not exists (select from tidemill.definitions as each where each.owner = known.owner)
        for update skip locked
    loop
        delete from tidemill.owners as known
        where known.owner = unused
            and not exists (select from tidemill.definitions as each where each.owner = unused);
    end loop;
    perform set_config('tidemill.keeping', 'off', true);
    return cardinality(gone);
end
$$;


--
-- Name: prune_fences(interval); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.prune_fences(older_than interval) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: prune_requests(interval); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.prune_requests(older_than interval) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: prune_week(date, boolean, bigint); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.prune_week(week date, keep_failures boolean, mark bigint) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET lock_timeout TO '3s'
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    written bigint;
    is_open text;
    child text;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        -- Only read committed sees rows that were committed before this transaction got the lock.
        return format('the week of %s can only be pruned in a transaction of isolation level read committed', week);
    end if;
    select known.written into written from tidemill.weeks as known where known.week = prune_week.week for update;
    is_open := tidemill.open_in(week);
    if is_open is not null then
        return is_open;
    elsif mark is distinct from written then
        return format('the week of %s was written to after it was found due', week);
    elsif tidemill.has_logs(week, keep_failures) then
        return format('the week of %s still has logs in S3', week);
    elsif not keep_failures then
        for child in select known.child from tidemill.week_partitions() as known where known.week = prune_week.week loop
            execute format('drop table tidemill.%I', child);
        end loop;
        perform set_config('tidemill.keeping', 'on', true);
        delete from tidemill.weeks as known where known.week = prune_week.week;
        perform set_config('tidemill.keeping', 'off', true);
        return null;
    end if;
    -- The condition on state comes first, because an index serves it: most runs have succeeded.
    perform tidemill.keep_only('runs', week, format(
        'tidemill.runs as each where filed_on >= %L and filed_on < %L '
        'and state <> ''succeeded'' and tidemill.is_failure(state) and not tidemill.goes(each, true)', week, week + 7));
    -- One look-up for each run by the primary key: the new partition has no statistics yet, and few stories stay.
    perform tidemill.keep_only('stories', week, format(
        'tidemill.runs as run cross join lateral (select * from tidemill.stories as story '
        'where story.run_id = run.run_id and story.filed_on = run.filed_on offset 0) as each '
        'where run.filed_on >= %L and run.filed_on < %L', week, week + 7));
    perform set_config('tidemill.keeping', 'on', true);
    update tidemill.weeks as known set reduced = known.written where known.week = prune_week.week;
    perform set_config('tidemill.keeping', 'off', true);
    return null;
end
$$;


--
-- Name: quoted(text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.quoted(value text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (value IS NULL) THEN 'null'::text WHEN (length(value) > 80) THEN (((('"'::text || tidemill.one_line("left"(value, 80))) || '..." ('::text) || length(value)) || ' characters)'::text) ELSE (('"'::text || tidemill.one_line(value)) || '"'::text) END;


--
-- Name: ran(text, timestamp with time zone, timestamp with time zone, text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.ran(owner text, begin timestamp with time zone, "end" timestamp with time zone, reprocess text) RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN (SELECT COALESCE(jsonb_object_agg(SUBSTRING(occurrence.run_id FROM (length(ran.owner) + 2)), CASE WHEN tidemill.is_open(occurrence.state) THEN NULL::integer WHEN (ran.reprocess = 'completed'::text) THEN occurrence.attempts WHEN ((ran.reprocess = 'failed'::text) AND tidemill.is_failure(occurrence.state)) THEN occurrence.attempts ELSE NULL::integer END), '{}'::jsonb) AS "coalesce" FROM (SELECT split_part(runs.run_id, '/'::text, 1) AS run_id, max(runs.state) FILTER (WHERE (runs.node_id IS NULL)) AS state, max(runs.attempt) AS attempts, bool_or(((runs.node_id IS NULL) AND ((runs.attempt > 0) OR (runs.nodes IS NOT NULL) OR tidemill.is_open(runs.state)))) AS is_known FROM tidemill.runs WHERE ((runs.job_id = ran.owner) AND (runs.nominal_time >= ran.begin) AND (runs.nominal_time < ran."end") AND starts_with(runs.run_id, (ran.owner || '@'::text)) AND (runs.missed_count IS NULL)) GROUP BY (split_part(runs.run_id, '/'::text, 1))) occurrence WHERE occurrence.is_known);


--
-- Name: refuse(text, text, text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.refuse(column_name text, value text, allowed text) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
    raise exception using
        errcode = 'check_violation',
        message = format('%s is %s: %s', column_name, tidemill.quoted(value), allowed),
        schema = 'tidemill',
        column = column_name;
end
$$;


--
-- Name: refuse_access(text, text, text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.refuse_access(column_name text, value text, allowed text) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
    raise exception using
        errcode = 'insufficient_privilege',
        message = format('%s is %s: %s', column_name, tidemill.quoted(value), allowed),
        schema = 'tidemill',
        column = column_name;
end
$$;


--
-- Name: refuse_dag(text, text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.refuse_dag(of_dag text, problem text) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
    raise exception using
        errcode = 'check_violation',
        message = format('dag "%s" is refused: %s', of_dag, problem),
        schema = 'tidemill',
        table = 'dag_nodes';
end
$$;


--
-- Name: refuse_statement(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.refuse_statement() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    -- The trigger's first argument is the sentence. Pruning sets tidemill.pruning around its own DELETE, with
    -- set_config because only a superuser may create a function with such a SET clause. This prevents mistakes; it is
    -- not a security boundary.
    if tg_op = 'DELETE' and current_setting('tidemill.pruning', true) = 'on' then
        return old;
    end if;
    raise exception using
        errcode = 'check_violation',
        message = format('%s of tidemill.%s is refused: %s', tg_op, tg_table_name, tg_argv[0]),
        schema = 'tidemill',
        table = tg_table_name;
end
$$;


--
-- Name: renumber_job(tidemill.jobs); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.renumber_job(job tidemill.jobs) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
    perform set_config('tidemill.numbering', 'on', true);
    update tidemill.jobs set version = job.version where job_id = job.job_id;
    perform set_config('tidemill.numbering', 'off', true);
end
$$;


--
-- Name: request_access(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.request_access() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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


--
-- Name: request_before_insert(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.request_before_insert() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: schedule_habit(text[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.schedule_habit(words text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    AS $_$
declare
    is_field constant text :=
        '^([0-9*?,/#LWH()-]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC|SUN|MON|TUE|WED|THU|FRI|SAT)+$';
    text constant text := lower(array_to_string(words, ' ') collate "C");
    every text[];
    are_fields bool[];
    foreign_word text;
begin
    if words[1] ~ '^[A-Za-z_]+=' then
        return format('"%s" is not a field: %s', words[1], case
            when words[1] ~* '^(CRON_)?TZ=' then 'set the zone in the column timezone'
            else 'set variables in the column env'
        end);
    end if;
    every := regexp_match(
        text, '^(?:every )?(?:([0-9]{1,9}) ?)?(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)$');
    if every is not null then
        return format('write an interval as @every %s%s', coalesce(every[1], '1'), left(every[2], 1));
    elsif text ~ '^(hourly|daily|midnight|weekly|monthly|yearly|annually)$' then
        return 'write it with an @: @' || text;
    elsif words[1] ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}' then
        return 'write one instant as @at and a time with its offset, such as @at 2026-11-21T03:00:00+01:00';
    elsif text ~ '^(cron|rate)\(' then
        return 'write the five fields without cron( ), and an interval as @every 5m';
    end if;
    are_fields := array(
        select upper(word collate "C") ~ is_field from unnest(words) with ordinality as each (word, place) order by place);
    if cardinality(words) = 7 and not false = any (are_fields) then
        return 'this one has 7 fields, and there is no field for the year; use the columns starts_at and ends_at';
    elsif cardinality(words) < 6 or false = any (are_fields[1:5]) or not false = any (are_fields) then
        return null;
    end if;
    foreign_word := words[array_position(are_fields, false)];
    if foreign_word ~ '^([A-Z][A-Za-z]+/[A-Za-z_/+-]+|UTC|GMT)$' then
        return format('"%s" comes after the fields: set the zone in the column timezone', foreign_word);
    end if;
    return format(
        '"%s" comes after the fields: a schedule has neither a user nor a command; '
        'set the program in the column executable, or let tidemill job put --command store it', foreign_word);
end
$_$;


--
-- Name: shown_path(text[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.shown_path(names text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (cardinality(names) <= 21) THEN array_to_string(names, ' → '::text) ELSE ((((array_to_string((names)[:10], ' → '::text) || ' → … ('::text) || (cardinality(names) - 20)) || ' more) … → '::text) || array_to_string((names)[(cardinality(names) - 9):], ' → '::text)) END;


--
-- Name: shown_tenants(text[]); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.shown_tenants(tenants text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE cardinality(tenants) WHEN 0 THEN 'no tenant'::text WHEN 1 THEN CASE (tenants)[1] WHEN '*'::text THEN 'every tenant'::text ELSE ('tenant '::text || (tenants)[1]) END ELSE (('tenants '::text || array_to_string((tenants)[:10], ', '::text)) || CASE WHEN (cardinality(tenants) > 10) THEN ', …'::text ELSE ''::text END) END;


--
-- Name: tenant_after_change(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.tenant_after_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    update tidemill.owners set tenant = new.tenant where owner = new.job_id;
    return null;
end
$$;


--
-- Name: timeout_classes_in_order(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.timeout_classes_in_order() RETURNS text
    LANGUAGE sql STABLE
    AS $$
    select string_agg(name, ', ' order by replace(replace(replace(name, 's', ' s'), 'm', ' min'), 'h', ' h')::interval)
    from tidemill.timeout_classes
$$;


--
-- Name: week_of(date); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.week_of(day date) RETURNS date
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (day - ((EXTRACT(isodow FROM day))::integer - 1));


--
-- Name: weekly_tables(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.weekly_tables() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['audit_log'::text, 'problems'::text, 'runs'::text, 'stories'::text];


--
-- Name: week_partitions(); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.week_partitions() RETURNS TABLE(parent text, child text, week date)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT (parent.relname)::text AS relname,
     (child.relname)::text AS relname,
     to_date("right"((child.relname)::text, 8), 'YYYYMMDD'::text) AS to_date
    FROM ((pg_inherits
      JOIN pg_class parent ON ((parent.oid = pg_inherits.inhparent)))
      JOIN pg_class child ON ((child.oid = pg_inherits.inhrelid)))
   WHERE ((parent.relnamespace = ('tidemill'::regnamespace)::oid) AND (parent.relkind = 'p'::"char") AND (parent.relname = ANY (tidemill.weekly_tables())));
END;


--
-- Name: weeks_to_prune(interval, interval); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.weeks_to_prune(history_ttl interval, failed_history_ttl interval) RETURNS TABLE(week date, keep_failures boolean, mark bigint, reason text)
    LANGUAGE sql
    AS $$
    select known.week, aged.last_at > aged.now - failed_history_ttl, known.written, tidemill.open_in(known.week)
    from tidemill.weeks as known
    cross join lateral (
        select clock_timestamp() as now, greatest(tidemill.begin_of(known.week + 7), known.last_at) as last_at
    ) as aged
    where aged.last_at <= aged.now - history_ttl
        and (known.reduced is distinct from known.written or aged.last_at <= aged.now - failed_history_ttl)
    order by known.week
$$;


--
-- Name: whole_milliseconds(timestamp with time zone); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.whole_milliseconds(value timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN isfinite(value) THEN date_trunc('milliseconds'::text, (value + '00:00:00.000999'::interval), 'UTC'::text) ELSE value END;


--
-- Name: with_first_payload(tidemill.requests, text); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.with_first_payload(request tidemill.requests, first_request text) RETURNS tidemill.requests
    LANGUAGE plpgsql STABLE
    AS $$
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


--
-- Name: write_anew(bigint); Type: FUNCTION; Schema: tidemill; Owner: -
--

CREATE FUNCTION tidemill.write_anew(applied bigint) RETURNS TABLE(jobs bigint, dags bigint)
    LANGUAGE plpgsql
    AS $$
declare
    dag tidemill.dags;
begin
    lock table tidemill.jobs, tidemill.dags, tidemill.dag_nodes in share row exclusive mode;
    perform setval('tidemill.definition_version', greatest(last_value, write_anew.applied))
    from tidemill.definition_version;
    perform set_config('tidemill.healing', 'on', true), set_config('tidemill.numbering', 'on', true),
        set_config('tidemill.compiling', 'on', true), set_config('tidemill.keeping', 'on', true);
    update tidemill.jobs set version = nextval('tidemill.definition_version'), updated_at = clock_timestamp();
    get diagnostics jobs = row_count;
    insert into tidemill.definitions (owner, kind, version, valid_from, deleted, spec)
    select each.job_id, 'job', each.version, clock_timestamp(), false, tidemill.job_spec(each)
    from tidemill.jobs as each;
    dags := 0;
    for dag in select * from tidemill.dags where version is not null loop
        dag.version := nextval('tidemill.definition_version');
        update tidemill.dags set version = dag.version, updated_at = clock_timestamp() where dag_id = dag.dag_id;
        insert into tidemill.definitions (owner, kind, version, valid_from, deleted, spec)
        values (dag.dag_id, 'dag', dag.version, clock_timestamp(), false, tidemill.compiled_dag(dag));
        dags := dags + 1;
    end loop;
    insert into tidemill.owners as known (owner, version)
    select job_id, version from tidemill.jobs
    union all select dag_id, version from tidemill.dags where version is not null
    on conflict (owner) do update set version = excluded.version;
    delete from tidemill.restored;
    perform set_config('tidemill.healing', 'off', true), set_config('tidemill.numbering', 'off', true),
        set_config('tidemill.compiling', 'off', true), set_config('tidemill.keeping', 'off', true);
    return next;
end
$$;


--
-- Name: stories; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.stories (
    run_id text NOT NULL,
    filed_on date NOT NULL,
    nominal_time timestamp with time zone NOT NULL,
    job_id text NOT NULL,
    attempts tidemill.attempt[] NOT NULL,
    transitions tidemill.transition[] NOT NULL,
    oldest_log timestamp with time zone GENERATED ALWAYS AS (tidemill.oldest_log(attempts)) STORED
)
PARTITION BY RANGE (filed_on);


--
-- Name: attempts; Type: VIEW; Schema: tidemill; Owner: -
--

CREATE VIEW tidemill.attempts WITH (security_invoker='true') AS
 SELECT story.run_id,
    story.nominal_time,
    story.job_id,
    each.attempt,
    each.token,
    each.timeout_class,
    each.dispatched_at,
    each.executor_id,
    each.claimed_at,
    each.started_at,
    each.finished_at,
    each.ended_as,
    each.exit_code,
    each.reason,
    each.reason_code,
    each.sha256,
    each.output,
    each.output_bytes,
    each.log_uri,
    each.peak_memory,
    each.cpu_seconds,
    each.log_deleted_at,
    story.filed_on
   FROM (tidemill.stories story
     CROSS JOIN LATERAL unnest(story.attempts) each(attempt, token, timeout_class, dispatched_at, executor_id, claimed_at, started_at, finished_at, ended_as, exit_code, reason, reason_code, sha256, output, output_bytes, log_uri, peak_memory, cpu_seconds, log_deleted_at));


--
-- Name: audit_number; Type: SEQUENCE; Schema: tidemill; Owner: -
--

CREATE SEQUENCE tidemill.audit_number
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: audit_log; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.audit_log (
    at timestamp with time zone NOT NULL,
    number bigint DEFAULT nextval('tidemill.audit_number'::regclass) NOT NULL,
    login text NOT NULL,
    role text NOT NULL,
    door text NOT NULL,
    actor text,
    correlation_id text,
    action text NOT NULL,
    kind text NOT NULL,
    owner text NOT NULL,
    node_id text,
    tenant text,
    request_id text,
    before jsonb,
    after jsonb
)
PARTITION BY RANGE (at);


--
-- Name: audit_log_20260223; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.audit_log_20260223 (
    at timestamp with time zone CONSTRAINT audit_log_at_not_null NOT NULL,
    number bigint DEFAULT nextval('tidemill.audit_number'::regclass) CONSTRAINT audit_log_number_not_null NOT NULL,
    login text CONSTRAINT audit_log_login_not_null NOT NULL,
    role text CONSTRAINT audit_log_role_not_null NOT NULL,
    door text CONSTRAINT audit_log_door_not_null NOT NULL,
    actor text,
    correlation_id text,
    action text CONSTRAINT audit_log_action_not_null NOT NULL,
    kind text CONSTRAINT audit_log_kind_not_null NOT NULL,
    owner text CONSTRAINT audit_log_owner_not_null NOT NULL,
    node_id text,
    tenant text,
    request_id text,
    before jsonb,
    after jsonb
);


--
-- Name: backfills; Type: VIEW; Schema: tidemill; Owner: -
--

CREATE VIEW tidemill.backfills WITH (security_invoker='true') AS
 SELECT parent.request_id,
    parent.job_id,
    parent.run_id,
    parent.state,
    parent.reason,
    parent.reason_code,
    asked.backfill_from,
    asked.backfill_to,
    asked.reprocess,
    asked.max_active_runs,
    asked.run_backwards,
    asked.dry_run,
    asked.note,
    parent.queued_at,
    parent.finished_at,
    each.runs,
    each.queued,
    each.running,
    each.succeeded,
    each.failed,
    each.cancelled
   FROM ((tidemill.runs parent
     LEFT JOIN tidemill.requests asked ON (((asked.request_id = parent.request_id) AND (asked.owner = parent.job_id))))
     CROSS JOIN LATERAL ( SELECT count(*) AS runs,
            count(*) FILTER (WHERE (child.state = 'queued'::text)) AS queued,
            count(*) FILTER (WHERE (child.state = ANY (ARRAY['running'::text, 'retry_wait'::text, 'cancelling'::text]))) AS running,
            count(*) FILTER (WHERE (child.state = 'succeeded'::text)) AS succeeded,
            count(*) FILTER (WHERE tidemill.is_failure(child.state)) AS failed,
            count(*) FILTER (WHERE (child.state = 'cancelled'::text)) AS cancelled
           FROM tidemill.runs child
          WHERE ((child.kind = ANY (ARRAY['backfilled'::text, 'dag'::text])) AND (child.request_id = parent.request_id) AND (child.job_id = parent.job_id))) each)
  WHERE (parent.kind = 'backfill'::text);


--
-- Name: dag_changes; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.dag_changes (
    dag_id text NOT NULL,
    changed_by xid8 NOT NULL
);


--
-- Name: dag_runs; Type: VIEW; Schema: tidemill; Owner: -
--

CREATE VIEW tidemill.dag_runs WITH (security_invoker='true') AS
 SELECT run_id,
    job_id AS dag_id,
    dag_version,
    tenant,
    nominal_time,
    scheduled_time,
    state,
    reason,
    reason_code,
    nodes,
    queued_at,
    started_at,
    finished_at,
    request_id,
    rerun_id,
    missed_from,
    missed_to,
    missed_count,
    missed_at_least,
    version
   FROM tidemill.runs
  WHERE (kind = 'dag'::text);


--
-- Name: definition_version; Type: SEQUENCE; Schema: tidemill; Owner: -
--

CREATE SEQUENCE tidemill.definition_version
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: definitions; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.definitions (
    owner text NOT NULL,
    kind text NOT NULL,
    version bigint NOT NULL,
    valid_from timestamp with time zone NOT NULL,
    deleted boolean NOT NULL,
    spec json,
    CONSTRAINT definitions_check CHECK ((deleted = (spec IS NULL)))
);


--
-- Name: definitions_pruned; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.definitions_pruned (
    id integer DEFAULT 1 NOT NULL,
    until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    CONSTRAINT definitions_pruned_id_check CHECK ((id = 1))
);


--
-- Name: deployment; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.deployment (
    id integer DEFAULT 1 NOT NULL,
    name uuid DEFAULT gen_random_uuid() NOT NULL,
    CONSTRAINT deployment_id_check CHECK ((id = 1))
);


--
-- Name: fences; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.fences (
    run_id text NOT NULL,
    token bigint NOT NULL,
    passed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: members; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.members (
    role text NOT NULL,
    tenant text NOT NULL,
    may text DEFAULT 'read'::text NOT NULL
);


--
-- Name: migrations; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.migrations (
    name text NOT NULL,
    sha256 text NOT NULL,
    release text NOT NULL,
    applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: owners; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.owners (
    owner text NOT NULL,
    version bigint NOT NULL,
    tenant text
);


--
-- Name: problems; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.problems (
    at timestamp with time zone NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    topic_id text NOT NULL,
    source_topic text,
    source_partition integer,
    source_offset bigint,
    owner text,
    kind text NOT NULL,
    code text NOT NULL,
    reason text NOT NULL,
    request_id text,
    run_id text,
    record text
)
PARTITION BY RANGE (at);


--
-- Name: problems_20260223; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.problems_20260223 (
    at timestamp with time zone CONSTRAINT problems_at_not_null NOT NULL,
    partition integer CONSTRAINT problems_partition_not_null NOT NULL,
    record_offset bigint CONSTRAINT problems_record_offset_not_null NOT NULL,
    topic_id text CONSTRAINT problems_topic_id_not_null NOT NULL,
    source_topic text,
    source_partition integer,
    source_offset bigint,
    owner text,
    kind text CONSTRAINT problems_kind_not_null NOT NULL,
    code text CONSTRAINT problems_code_not_null NOT NULL,
    reason text CONSTRAINT problems_reason_not_null NOT NULL,
    request_id text,
    run_id text,
    record text
);


--
-- Name: reconciliation; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.reconciliation (
    id integer DEFAULT 1 NOT NULL,
    compared_at timestamp with time zone,
    differing bigint DEFAULT 0 NOT NULL,
    differing_since timestamp with time zone,
    refusal text,
    healed bigint DEFAULT 0 NOT NULL,
    healed_at timestamp with time zone,
    CONSTRAINT reconciliation_id_check CHECK ((id = 1))
);


--
-- Name: restored; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.restored (
    id integer DEFAULT 1 NOT NULL,
    noticed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    given bigint NOT NULL,
    applied bigint NOT NULL,
    CONSTRAINT restored_id_check CHECK ((id = 1))
);


--
-- Name: retention; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.retention (
    id integer DEFAULT 1 NOT NULL,
    began_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    next_at timestamp with time zone NOT NULL,
    failure text,
    CONSTRAINT retention_id_check CHECK ((id = 1))
);


--
-- Name: roles; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.roles (
    kind text NOT NULL,
    name text NOT NULL
);


--
-- Name: runs_20260223; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.runs_20260223 (
    run_id text CONSTRAINT runs_run_id_not_null NOT NULL,
    job_id text CONSTRAINT runs_job_id_not_null NOT NULL,
    dag_id text,
    node_id text,
    tenant text CONSTRAINT runs_tenant_not_null NOT NULL,
    kind text CONSTRAINT runs_kind_not_null NOT NULL,
    nominal_time timestamp with time zone CONSTRAINT runs_nominal_time_not_null NOT NULL,
    scheduled_time timestamp with time zone CONSTRAINT runs_scheduled_time_not_null NOT NULL,
    state text CONSTRAINT runs_state_not_null NOT NULL,
    reason text,
    reason_code text,
    blocked_by text,
    attempt integer CONSTRAINT runs_attempt_not_null NOT NULL,
    timeout_class text,
    executor_id text,
    queued_at timestamp with time zone,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    exit_code integer,
    log_uri text,
    request_id text,
    rerun_id text,
    traceparent text,
    missed_from timestamp with time zone,
    missed_to timestamp with time zone,
    missed_count bigint,
    missed_at_least boolean,
    nodes jsonb,
    dag_version bigint,
    result json,
    result_bytes integer,
    result_uri text,
    result_sha256 text,
    next_nodes jsonb,
    first_started_at timestamp with time zone,
    version bigint CONSTRAINT runs_version_not_null NOT NULL,
    filed_on date DEFAULT ((clock_timestamp() AT TIME ZONE 'UTC'::text))::date CONSTRAINT runs_filed_on_not_null NOT NULL
);


--
-- Name: sink_offsets; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.sink_offsets (
    topic text NOT NULL,
    partition integer NOT NULL,
    topic_id text NOT NULL,
    next_offset bigint NOT NULL
);


--
-- Name: stories_20260223; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.stories_20260223 (
    run_id text CONSTRAINT stories_run_id_not_null NOT NULL,
    filed_on date CONSTRAINT stories_filed_on_not_null NOT NULL,
    nominal_time timestamp with time zone CONSTRAINT stories_nominal_time_not_null NOT NULL,
    job_id text CONSTRAINT stories_job_id_not_null NOT NULL,
    attempts tidemill.attempt[] CONSTRAINT stories_attempts_not_null NOT NULL,
    transitions tidemill.transition[] CONSTRAINT stories_transitions_not_null NOT NULL,
    oldest_log timestamp with time zone GENERATED ALWAYS AS (tidemill.oldest_log(attempts)) STORED
);


--
-- Name: timeout_classes; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.timeout_classes (
    name text NOT NULL
);


--
-- Name: transitions; Type: VIEW; Schema: tidemill; Owner: -
--

CREATE VIEW tidemill.transitions WITH (security_invoker='true') AS
 SELECT story.run_id,
    story.nominal_time,
    story.job_id,
    each.version,
    each.at,
    each.state,
    each.attempt,
    each.reason,
    each.reason_code,
    story.filed_on
   FROM (tidemill.stories story
     CROSS JOIN LATERAL unnest(story.transitions) each(version, at, state, attempt, reason, reason_code));


--
-- Name: zones; Type: TABLE; Schema: tidemill; Owner: -
--

CREATE TABLE tidemill.zones (
    name text NOT NULL
);


--
-- Name: audit_log_20260223; Type: TABLE ATTACH; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.audit_log ATTACH PARTITION tidemill.audit_log_20260223 FOR VALUES FROM ('2026-02-23 00:00:00+00') TO ('2026-03-02 00:00:00+00');


--
-- Name: problems_20260223; Type: TABLE ATTACH; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.problems ATTACH PARTITION tidemill.problems_20260223 FOR VALUES FROM ('2026-02-23 00:00:00+00') TO ('2026-03-02 00:00:00+00');


--
-- Name: runs_20260223; Type: TABLE ATTACH; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.runs ATTACH PARTITION tidemill.runs_20260223 FOR VALUES FROM ('2026-02-23') TO ('2026-03-02');


--
-- Name: stories_20260223; Type: TABLE ATTACH; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.stories ATTACH PARTITION tidemill.stories_20260223 FOR VALUES FROM ('2026-02-23') TO ('2026-03-02');


--
-- Data for Name: audit_log_20260223; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.audit_log_20260223 VALUES ('2026-03-01 11:00:00+00', 1, 'tidemill', 'tidemill', 'sql', NULL, NULL, 'insert', 'job', 'job', NULL, 'default', NULL, NULL, '{"version": 1}');


--
-- Data for Name: dag_changes; Type: TABLE DATA; Schema: tidemill; Owner: -
--



--
-- Data for Name: dag_nodes; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.dag_nodes VALUES ('dag', 'a', '{}', 'all_success', 's3://tidemill/x', NULL, '[]', '{}', NULL, NULL, NULL, true, 1, '00:00:01', 2, '00:01:00', 0.1, '{}', '{}', 10, NULL, '00:00:30', NULL, NULL, NULL, NULL, NULL, NULL, '{}');
INSERT INTO tidemill.dag_nodes VALUES ('dag', 'b', '{a}', 'all_done', 's3://tidemill/x', NULL, '[]', '{}', NULL, NULL, NULL, true, 1, '00:00:01', 2, '00:01:00', 0.1, '{}', '{}', 10, NULL, '00:00:30', NULL, NULL, NULL, NULL, NULL, NULL, '{}');


--
-- Data for Name: dags; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.dags VALUES ('dag', 'default', '@daily', 'UTC', 'skip', 1000, 1, NULL, 'finish', 'latest', '24:00:00', 'skip', '00:01:00', NULL, '00:00:00', 'shift', NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, 7, '2026-03-01 12:00:00+00');


--
-- Data for Name: definitions; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.definitions VALUES ('job', 'job', 1, '2026-03-01 12:00:00+00', false, '{"env": {"A": "1"}, "args": ["a", "b"], "jitter": "PT0S", "job_id": "job", "paused": false, "tenant": "default", "dst_gap": "shift", "promote": true, "schedule": "*/5 * * * *", "timezone": "Europe/Berlin", "on_delete": "finish", "executable": "s3://tidemill/x", "buffer_limit": 1000, "cancel_grace": "PT30S", "max_attempts": 3, "max_interval": "PT60S", "retry_jitter": 0.1, "misfire_grace": "PT60S", "catchup_policy": "latest", "catchup_window": "PT86400S", "overlap_policy": "buffer_one", "initial_interval": "PT1S", "max_infra_retries": 10, "backoff_coefficient": 2, "catchup_after_pause": "skip", "non_retryable_exit_codes": [], "payload": {"day": 1}}');
INSERT INTO tidemill.definitions VALUES ('weak', 'job', 2, '2026-03-01 12:00:00+00', false, '{"cpu": 0.5, "env": {}, "args": [], "disk": 1073741824, "pids": 100, "jitter": "PT0S", "job_id": "weak", "memory": 536870912, "paused": false, "tenant": "default", "unveil": ["r:/srv/www"], "dst_gap": "shift", "network": "none", "promote": true, "sandbox": "strict", "timezone": "UTC", "on_delete": "finish", "executable": "s3://tidemill/x", "buffer_limit": 1000, "cancel_grace": "PT30S", "max_attempts": 1, "max_interval": "PT60S", "retry_jitter": 0.1, "misfire_grace": "PT60S", "catchup_policy": "latest", "catchup_window": "PT86400S", "overlap_policy": "skip", "initial_interval": "PT1S", "pause_on_failure": 1, "max_infra_retries": 10, "backoff_coefficient": 2, "catchup_after_pause": "skip", "non_retryable_exit_codes": []}');
INSERT INTO tidemill.definitions VALUES ('gone', 'job', 3, '2026-03-01 12:00:00+00', false, '{"env": {}, "args": [], "jitter": "PT0S", "job_id": "gone", "paused": false, "tenant": "default", "dst_gap": "shift", "promote": true, "timezone": "UTC", "on_delete": "finish", "executable": "s3://tidemill/x", "buffer_limit": 1000, "cancel_grace": "PT30S", "max_attempts": 1, "max_interval": "PT60S", "retry_jitter": 0.1, "misfire_grace": "PT60S", "catchup_policy": "latest", "catchup_window": "PT86400S", "overlap_policy": "skip", "initial_interval": "PT1S", "max_infra_retries": 10, "backoff_coefficient": 2, "catchup_after_pause": "skip", "non_retryable_exit_codes": []}');
INSERT INTO tidemill.definitions VALUES ('weak', 'job', 4, '2026-03-01 12:00:00+00', false, '{"cpu": 0.5, "env": {}, "args": [], "disk": 1073741824, "pids": 100, "jitter": "PT0S", "job_id": "weak", "memory": 536870912, "paused": true, "tenant": "default", "unveil": ["r:/srv/www"], "dst_gap": "shift", "network": "none", "promote": true, "sandbox": "strict", "timezone": "UTC", "on_delete": "finish", "executable": "s3://tidemill/x", "paused_note": "by hand", "buffer_limit": 1000, "cancel_grace": "PT30S", "max_attempts": 1, "max_interval": "PT60S", "retry_jitter": 0.1, "misfire_grace": "PT60S", "catchup_policy": "latest", "catchup_window": "PT86400S", "overlap_policy": "skip", "initial_interval": "PT1S", "pause_on_failure": 1, "max_infra_retries": 10, "backoff_coefficient": 2, "catchup_after_pause": "skip", "non_retryable_exit_codes": []}');
INSERT INTO tidemill.definitions VALUES ('gone', 'job', 6, '2026-03-01 12:00:00+00', true, NULL);
INSERT INTO tidemill.definitions VALUES ('dag', 'dag', 7, '2026-03-01 12:00:00+00', false, '{"dag_id": "dag", "jitter": "PT0S", "paused": false, "tenant": "default", "dst_gap": "shift", "schedule": "@daily", "timezone": "UTC", "on_delete": "finish", "buffer_limit": 1000, "misfire_grace": "PT60S", "catchup_policy": "latest", "catchup_window": "PT86400S", "overlap_policy": "skip", "max_active_epochs": 1, "catchup_after_pause": "skip", "nodes": [{"node_id": "a", "executable": "s3://tidemill/x"}, {"node_id": "b", "depends_on": ["a"], "executable": "s3://tidemill/x", "trigger_rule": "all_done"}]}');


--
-- Data for Name: definitions_pruned; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.definitions_pruned VALUES (1, '-infinity');


--
-- Data for Name: deployment; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.deployment VALUES (1, '00000000-0000-4000-8000-000000000001');


--
-- Data for Name: fences; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.fences VALUES ('job#held', 7, '2026-03-01 12:00:00+00');


--
-- Data for Name: heartbeat; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.heartbeat VALUES (1, '2026-03-01 12:00:00+00');


--
-- Data for Name: jobs; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.jobs VALUES ('job', 'default', '*/5 * * * *', 'Europe/Berlin', 's3://tidemill/x', NULL, '["a", "b"]', '{"A": "1"}', '{"day": 1}', NULL, NULL, true, 3, '00:00:01', 2, '00:01:00', 0.1, '{}', 10, NULL, 'buffer_one', 1000, NULL, '00:00:30', 'finish', 'latest', '24:00:00', 'skip', '00:01:00', NULL, '00:00:00', 'shift', NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{}', 1, '2026-03-01 12:00:00+00');
INSERT INTO tidemill.jobs VALUES ('weak', 'default', NULL, 'UTC', 's3://tidemill/x', NULL, '[]', '{}', NULL, NULL, NULL, true, 1, '00:00:01', 2, '00:01:00', 0.1, '{}', 10, NULL, 'skip', 1000, NULL, '00:00:30', 'finish', 'latest', '24:00:00', 'skip', '00:01:00', NULL, '00:00:00', 'shift', NULL, NULL, 1, NULL, true, 'by hand', NULL, NULL, 'strict', 536870912, 1073741824, 0.5, 100, 'none', '{r:/srv/www}', 4, '2026-03-01 12:00:00+00');


--
-- Data for Name: members; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.members VALUES ('tidemill_monitor', 'default', 'write');


--
-- Data for Name: migrations; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.migrations VALUES ('0001_words.sql', '5f7f3c492b67ec9f50c5ddfb1089543b2d64e9467118acaa0758aeaf41e550ab', '0.2.0', '2026-03-01 12:00:00+00');
INSERT INTO tidemill.migrations VALUES ('0002_zones.sql', 'cc4479705b56c345a3c211b8ee11de242dec21bb9e00319db7dc4fbde4c55f10', '0.2.0', '2026-03-01 12:00:00+00');
INSERT INTO tidemill.migrations VALUES ('0003_schedules.sql', '37e3dcab95302d04e4ed281b41bb0e4dee426bdec485630d03c97b8a1b818299', '0.2.0', '2026-03-01 12:00:00+00');
INSERT INTO tidemill.migrations VALUES ('0004_checks.sql', '4eb69c4543d5cd10ca807651233749f8018470f70691f6a65111056658718a8b', '0.2.0', '2026-03-01 12:00:00+00');
INSERT INTO tidemill.migrations VALUES ('0005_jobs.sql', 'f06c44322ecb14908ebfc6770cf6b6615d60fa929fd64f0a554ebdd80a43c256', '0.2.0', '2026-03-01 12:00:00+00');
INSERT INTO tidemill.migrations VALUES ('0006_requests.sql', '82fea5c19a668e30ab0f01e3d10904f9a28c1052b7ab16ce85fc5c4e73559546', '0.2.0', '2026-03-01 12:00:00+00');
INSERT INTO tidemill.migrations VALUES ('0007_read_model.sql', 'c743a0a01c250e56b3fc9f817a8d26cc9aa548da6622134b5c59aca37a54aa3c', '0.2.0', '2026-03-01 12:00:00+00');
INSERT INTO tidemill.migrations VALUES ('0008_capture.sql', '99e2aaf04e2e67a3b4d97985563cefb1b2e58954dfcceb0c282284af5c1ff2e9', '0.2.0', '2026-03-01 12:00:00+00');
INSERT INTO tidemill.migrations VALUES ('0009_retention.sql', '01ae67169ec248476ebcc5346f1786eeac5a67bc1b184f4780d01d39f88204d2', '0.2.0', '2026-03-01 12:00:00+00');
INSERT INTO tidemill.migrations VALUES ('0010_fences.sql', 'bbed8949c99a700898a7b56dfc3d104d90cd3c75312b30fcc21a029dea732cb4', '0.2.0', '2026-03-01 12:00:00+00');
INSERT INTO tidemill.migrations VALUES ('0011_backfills.sql', '836d2991c089d1ba7cbb9f668864ca298b71cbb1167c0f1f52bbae126983109e', '0.2.0', '2026-03-01 12:00:00+00');
INSERT INTO tidemill.migrations VALUES ('0012_dags.sql', 'e9782b03128512633fc6880e66c4a7a8c83eaf6891719c518c1149aaad03588c', '0.2.0', '2026-03-01 12:00:00+00');
INSERT INTO tidemill.migrations VALUES ('0013_cluster.sql', 'b91e4b10b7a475d6c60adec2eed8063875e769365866f28addb6337a76cb2ba9', '0.2.0', '2026-03-01 12:00:00+00');
INSERT INTO tidemill.migrations VALUES ('0014_kept.sql', 'ff01bafe07400b7e3d2c6c417f827f6e499db6cb6684b258fd96aec197de00a5', '0.2.0', '2026-03-01 12:00:00+00');
INSERT INTO tidemill.migrations VALUES ('0015_access.sql', '018ba284ef60ca0e924aa9d5438beb2503582d99ab85f870c004d4328bcb3c19', '0.2.0', '2026-03-01 12:00:00+00');
INSERT INTO tidemill.migrations VALUES ('0016_audit_log.sql', 'e4d12c276d34578ccfe26bde35ec83b83e4d64acb8daf1a47911c0f5a510153b', '0.2.0', '2026-03-01 12:00:00+00');


--
-- Data for Name: owners; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.owners VALUES ('job', 1, 'default');
INSERT INTO tidemill.owners VALUES ('weak', 2, 'default');
INSERT INTO tidemill.owners VALUES ('gone', 6, 'default');
INSERT INTO tidemill.owners VALUES ('dag', 7, 'default');


--
-- Data for Name: problems_20260223; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.problems_20260223 VALUES ('2026-03-01 12:00:00+00', 0, 0, 'deadletter-id', 'cdc', 0, 10, 'job', 'dead_letter', 'record_refused', 'record cdc@10 is not JSON: JSON is malformed: invalid character (byte 4)', NULL, NULL, 'no JSON');
INSERT INTO tidemill.problems_20260223 VALUES ('2026-03-01 12:00:01+00', 0, 1, 'deadletter-id', NULL, NULL, NULL, 'weak', 'alert', 'paused_on_failure', 'job ''weak'' is paused: 1 runs in a row ended badly; `tidemill job resume`, or any change, lets it go on; the last is ''weak#w'': exit code 1', NULL, 'weak#w', '{"run_id":"weak#w","job_id":"weak","tenant":"default","kind":"requested","nominal_time":"2026-03-01T12:00:00.000Z","scheduled_time":"2026-03-01T12:00:00.000Z","state":"failed","version":34,"dag_id":null,"node_id":null,"nodes":null,"dag_version":null,"reason":"exit code 1","reason_code":"exit_code","blocked_by":null,"attempt":1,"timeout_class":"10s","executor_id":"e.1","queued_at":"2026-03-01T12:00:00.100Z","started_at":"2026-03-01T12:00:00.100Z","finished_at":"2026-03-01T12:00:00.100Z","exit_code":1,"log_uri":null,"request_id":"w","rerun_id":null,"traceparent":null,"missed":null,"result":null,"next_nodes":null,"filed_on":"2026-03-01","transitions":[{"version":7,"at":"2026-03-01T12:00:00.100Z","state":"queued","attempt":0,"reason":null,"reason_code":null},{"version":32,"at":"2026-03-01T12:00:00.100Z","state":"running","attempt":1,"reason":null,"reason_code":null},{"version":34,"at":"2026-03-01T12:00:00.200Z","state":"failed","attempt":1,"reason":"exit code 1","reason_code":"exit_code"}],"attempts":[{"attempt":1,"token":8,"timeout_class":"10s","dispatched_at":"2026-03-01T12:00:00.100Z","executor_id":"e.1","claimed_at":null,"started_at":"2026-03-01T12:00:00.100Z","finished_at":"2026-03-01T12:00:00.100Z","end":"failed","exit_code":1,"reason":"exit code 1","reason_code":"exit_code","sha256":"0000000000000000000000000000000000000000000000000000000000000000","output":null,"output_bytes":0,"log_uri":null,"peak_memory":9437184,"cpu_seconds":0.25}]}');
INSERT INTO tidemill.problems_20260223 VALUES ('2026-03-01 12:00:02+00', 0, 2, 'deadletter-id', 'cdc', 0, 7, 'ghost', 'dead_letter', 'request_refused', 'request ''early'' is refused: job ''ghost'' does not exist, and none was defined within 0:01:00', 'early', NULL, '');


--
-- Data for Name: reconciliation; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.reconciliation VALUES (1, NULL, 0, NULL, NULL, 0, NULL);


--
-- Data for Name: requests; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.requests VALUES ('held', 'run', 'job', NULL, NULL, NULL, '{"day": 3}', 'by hand', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, false, NULL, NULL, 0, 'job', '2026-03-01 12:00:00+00');
INSERT INTO tidemill.requests VALUES ('r', 'run', NULL, 'dag', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, false, NULL, NULL, 0, 'dag', '2026-03-01 12:00:00+00');
INSERT INTO tidemill.requests VALUES ('stop', 'cancel', 'job', NULL, 'job#stopped', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, false, NULL, NULL, 0, 'job', '2026-03-01 12:00:00+00');
INSERT INTO tidemill.requests VALUES ('bf', 'backfill', 'job', NULL, NULL, NULL, NULL, NULL, NULL, '2026-03-01 11:00:00+00', '2026-03-01 11:30:00+00', 'none', 1, false, false, '{}', NULL, 0, false, NULL, NULL, 0, 'job', '2026-03-01 12:00:00+00');


--
-- Data for Name: restored; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.restored VALUES (1, '2026-03-01 12:00:00+00', 5, 9);


--
-- Data for Name: retention; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.retention VALUES (1, '2026-03-01 11:00:00+00', '2026-03-01 11:00:01+00', '2026-03-01 12:00:00+00', NULL);


--
-- Data for Name: roles; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.roles VALUES ('reader', 'tidemill_reader');
INSERT INTO tidemill.roles VALUES ('operator', 'tidemill_operator');
INSERT INTO tidemill.roles VALUES ('writer', 'tidemill_writer');
INSERT INTO tidemill.roles VALUES ('admin', 'tidemill_admin');
INSERT INTO tidemill.roles VALUES ('sink', 'tidemill_sink');
INSERT INTO tidemill.roles VALUES ('connect', 'tidemill_connect');
INSERT INTO tidemill.roles VALUES ('monitor', 'tidemill_monitor');
INSERT INTO tidemill.roles VALUES ('web', 'tidemill_web');
INSERT INTO tidemill.roles VALUES ('api', 'tidemill_api');


--
-- Data for Name: runs_20260223; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.runs_20260223 VALUES ('job#held', 'job', NULL, NULL, 'default', 'requested', '2026-03-01 12:00:00+00', '2026-03-01 12:00:00+00', 'running', NULL, NULL, NULL, 1, '10s', 'e.1', '2026-03-01 12:00:00.1+00', '2026-03-01 12:00:00.1+00', NULL, NULL, NULL, 'held', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-03-01 12:00:00.1+00', 30, '2026-03-01');
INSERT INTO tidemill.runs_20260223 VALUES ('job#stopped', 'job', NULL, NULL, 'default', 'requested', '2026-03-01 12:00:00+00', '2026-03-01 12:00:00+00', 'cancelling', 'cancelled by request stop', 'cancelled_by_request', NULL, 1, '10s', 'e.1', '2026-03-01 12:00:00.1+00', '2026-03-01 12:00:00.1+00', NULL, NULL, NULL, 'stopped', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-03-01 12:00:00.1+00', 63, '2026-03-01');
INSERT INTO tidemill.runs_20260223 VALUES ('weak#w', 'weak', NULL, NULL, 'default', 'requested', '2026-03-01 12:00:00+00', '2026-03-01 12:00:00+00', 'failed', 'exit code 1', 'exit_code', NULL, 1, '10s', 'e.1', '2026-03-01 12:00:00.1+00', '2026-03-01 12:00:00.1+00', '2026-03-01 12:00:00.1+00', 1, NULL, 'w', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-03-01 12:00:00.1+00', 34, '2026-03-01');
INSERT INTO tidemill.runs_20260223 VALUES ('dag#r/a', 'dag', 'dag', 'a', 'default', 'node', '2026-03-01 12:00:00+00', '2026-03-01 12:00:00+00', 'succeeded', NULL, NULL, NULL, 1, '10s', 'e.1', '2026-03-01 12:00:00.1+00', '2026-03-01 12:00:00.1+00', '2026-03-01 12:00:00.1+00', 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-03-01 12:00:00.1+00', 37, '2026-03-01');
INSERT INTO tidemill.runs_20260223 VALUES ('job#bf', 'job', NULL, NULL, 'default', 'backfill', '2026-03-01 12:00:00+00', '2026-03-01 12:00:00+00', 'running', '5 runs, 0 occurrences are left alone', 'backfill', NULL, 0, NULL, NULL, '2026-03-01 12:00:00.1+00', NULL, NULL, NULL, NULL, 'bf', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 25, '2026-03-01');
INSERT INTO tidemill.runs_20260223 VALUES ('job#foreign', 'job', NULL, NULL, 'default', 'requested', '2026-03-01 12:00:00+00', '2026-03-01 12:00:00+00', 'succeeded', NULL, NULL, NULL, 1, '10s', 'e.1', '2026-03-01 12:00:00.1+00', '2026-03-01 12:00:00.1+00', '2026-03-01 12:00:00.1+00', 0, NULL, 'foreign', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-03-01 12:00:00.1+00', 47, '2026-03-01');
INSERT INTO tidemill.runs_20260223 VALUES ('job@2026-03-01T11:55:00Z', 'job', NULL, NULL, 'default', 'backfilled', '2026-03-01 11:55:00+00', '2026-03-01 11:55:00+00', 'running', NULL, NULL, NULL, 1, '10s', 'e.1', '2026-03-01 12:00:00.1+00', '2026-03-01 12:00:00.1+00', NULL, NULL, NULL, 'bf', 'bf', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-03-01 12:00:00.1+00', 49, '2026-03-01');
INSERT INTO tidemill.runs_20260223 VALUES ('job@2026-03-01T11:54:00Z', 'job', NULL, NULL, 'default', 'backfilled', '2026-03-01 11:54:00+00', '2026-03-01 11:54:00+00', 'running', NULL, NULL, NULL, 1, '10s', 'e.1', '2026-03-01 12:00:00.1+00', '2026-03-01 12:00:00.1+00', NULL, NULL, NULL, 'bf', 'bf', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-03-01 12:00:00.1+00', 48, '2026-03-01');
INSERT INTO tidemill.runs_20260223 VALUES ('job@2026-03-01T11:53:00Z', 'job', NULL, NULL, 'default', 'backfilled', '2026-03-01 11:53:00+00', '2026-03-01 11:53:00+00', 'queued', 'backfill bf', 'backfill', NULL, 0, '10s', NULL, '2026-03-01 12:00:00.1+00', NULL, NULL, NULL, NULL, 'bf', 'bf', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 22, '2026-03-01');
INSERT INTO tidemill.runs_20260223 VALUES ('job@2026-03-01T11:52:00Z', 'job', NULL, NULL, 'default', 'backfilled', '2026-03-01 11:52:00+00', '2026-03-01 11:52:00+00', 'queued', 'backfill bf', 'backfill', NULL, 0, '10s', NULL, '2026-03-01 12:00:00.1+00', NULL, NULL, NULL, NULL, 'bf', 'bf', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 23, '2026-03-01');
INSERT INTO tidemill.runs_20260223 VALUES ('job@2026-03-01T11:51:00Z', 'job', NULL, NULL, 'default', 'backfilled', '2026-03-01 11:51:00+00', '2026-03-01 11:51:00+00', 'queued', 'backfill bf', 'backfill', NULL, 0, '10s', NULL, '2026-03-01 12:00:00.1+00', NULL, NULL, NULL, NULL, 'bf', 'bf', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 24, '2026-03-01');
INSERT INTO tidemill.runs_20260223 VALUES ('dag#r', 'dag', 'dag', NULL, 'default', 'dag', '2026-03-01 12:00:00+00', '2026-03-01 12:00:00+00', 'running', NULL, NULL, NULL, 0, NULL, NULL, '2026-03-01 12:00:00.1+00', '2026-03-01 12:00:00.1+00', NULL, NULL, NULL, 'r', NULL, NULL, NULL, NULL, NULL, NULL, '{"running": 1, "succeeded": 3}', 4, NULL, NULL, NULL, NULL, NULL, '2026-03-01 12:00:00.1+00', 66, '2026-03-01');
INSERT INTO tidemill.runs_20260223 VALUES ('dag#r/b', 'dag', 'dag', 'b', 'default', 'node', '2026-03-01 12:00:00+00', '2026-03-01 12:00:00+00', 'succeeded', 'marked succeeded by request m', 'marked', NULL, 1, NULL, NULL, NULL, NULL, '2026-03-01 12:00:31.25+00', NULL, NULL, NULL, 'm', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 64, '2026-03-01');
INSERT INTO tidemill.runs_20260223 VALUES ('dag#r/c', 'dag', 'dag', 'c', 'default', 'node', '2026-03-01 12:00:00+00', '2026-03-01 12:00:00+00', 'succeeded', NULL, NULL, NULL, 1, '10s', 'e.1', '2026-03-01 12:00:00.2+00', '2026-03-01 12:00:00.2+00', '2026-03-01 12:00:00.2+00', 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-03-01 12:00:00.2+00', 56, '2026-03-01');
INSERT INTO tidemill.runs_20260223 VALUES ('dag#r/d', 'dag', 'dag', 'd', 'default', 'node', '2026-03-01 12:00:00+00', '2026-03-01 12:00:00+00', 'running', NULL, NULL, NULL, 1, '10s', 'e.1', '2026-03-01 12:00:00.3+00', '2026-03-01 12:00:00.3+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-03-01 12:00:00.3+00', 61, '2026-03-01');
INSERT INTO tidemill.runs_20260223 VALUES ('job@2026-03-01T12:01:00Z', 'job', NULL, NULL, 'default', 'scheduled', '2026-03-01 12:01:00+00', '2026-03-01 12:01:00+00', 'skipped', 'job#held is running', 'overlap_skipped', 'job#held', 0, NULL, NULL, NULL, NULL, '2026-03-01 12:01:01.25+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 67, '2026-03-01');
INSERT INTO tidemill.runs_20260223 VALUES ('job@2026-03-01T12:02:00Z', 'job', NULL, NULL, 'default', 'scheduled', '2026-03-01 12:02:00+00', '2026-03-01 12:02:00+00', 'skipped', 'job#held is running', 'overlap_skipped', 'job#held', 0, NULL, NULL, NULL, NULL, '2026-03-01 12:02:01.25+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 68, '2026-03-01');


--
-- Data for Name: sink_offsets; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.sink_offsets VALUES ('deadletter', 0, 'deadletter-id', 3);
INSERT INTO tidemill.sink_offsets VALUES ('status', 0, 'status-id', 33);


--
-- Data for Name: stories_20260223; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.stories_20260223 VALUES ('job#held', '2026-03-01', '2026-03-01 12:00:00+00', 'job', '{"(1,2,10s,\"2026-03-01 12:00:00.1+00\",e.1,,\"2026-03-01 12:00:00.1+00\",,,,,,0000000000000000000000000000000000000000000000000000000000000000,,0,,,,)"}', '{"(1,\"2026-03-01 12:00:00.1+00\",queued,0,,)","(30,\"2026-03-01 12:00:00.1+00\",running,1,,)"}', DEFAULT);
INSERT INTO tidemill.stories_20260223 VALUES ('job#stopped', '2026-03-01', '2026-03-01 12:00:00+00', 'job', '{"(1,5,10s,\"2026-03-01 12:00:00.1+00\",e.1,,\"2026-03-01 12:00:00.1+00\",,,,,,0000000000000000000000000000000000000000000000000000000000000000,,0,,,,)"}', '{"(4,\"2026-03-01 12:00:00.1+00\",queued,0,,)","(31,\"2026-03-01 12:00:00.1+00\",running,1,,)","(63,\"2026-03-01 12:00:31.25+00\",cancelling,1,\"cancelled by request stop\",cancelled_by_request)"}', DEFAULT);
INSERT INTO tidemill.stories_20260223 VALUES ('weak#w', '2026-03-01', '2026-03-01 12:00:00+00', 'weak', '{"(1,8,10s,\"2026-03-01 12:00:00.1+00\",e.1,,\"2026-03-01 12:00:00.1+00\",\"2026-03-01 12:00:00.1+00\",failed,1,\"exit code 1\",exit_code,0000000000000000000000000000000000000000000000000000000000000000,,0,,9437184,0.25,)"}', '{"(7,\"2026-03-01 12:00:00.1+00\",queued,0,,)","(32,\"2026-03-01 12:00:00.1+00\",running,1,,)","(34,\"2026-03-01 12:00:00.2+00\",failed,1,\"exit code 1\",exit_code)"}', DEFAULT);
INSERT INTO tidemill.stories_20260223 VALUES ('dag#r/a', '2026-03-01', '2026-03-01 12:00:00+00', 'dag', '{"(1,14,10s,\"2026-03-01 12:00:00.1+00\",e.1,,\"2026-03-01 12:00:00.1+00\",\"2026-03-01 12:00:00.1+00\",succeeded,0,,,0000000000000000000000000000000000000000000000000000000000000000,,0,,9437184,0.25,)"}', '{"(12,\"2026-03-01 12:00:00.1+00\",queued,0,,)","(35,\"2026-03-01 12:00:00.1+00\",running,1,,)","(37,\"2026-03-01 12:00:00.2+00\",succeeded,1,,)"}', DEFAULT);
INSERT INTO tidemill.stories_20260223 VALUES ('job#bf', '2026-03-01', '2026-03-01 12:00:00+00', 'job', '{}', '{"(16,\"2026-03-01 12:00:00.1+00\",queued,0,\"[2026-03-01T11:51:00.000Z, 2026-03-01T11:56:00.000Z): 5 occurrences\",backfill)","(25,\"2026-03-01 12:00:00.1+00\",running,0,\"5 runs, 0 occurrences are left alone\",backfill)"}', DEFAULT);
INSERT INTO tidemill.stories_20260223 VALUES ('job#foreign', '2026-03-01', '2026-03-01 12:00:00+00', 'job', '{"(1,18,10s,\"2026-03-01 12:00:00.1+00\",e.1,,\"2026-03-01 12:00:00.1+00\",\"2026-03-01 12:00:00.1+00\",succeeded,0,,,0000000000000000000000000000000000000000000000000000000000000000,,0,,9437184,0.25,)"}', '{"(17,\"2026-03-01 12:00:00.1+00\",queued,0,,)","(45,\"2026-03-01 12:00:00.1+00\",running,1,,)","(47,\"2026-03-01 12:00:00.2+00\",succeeded,1,,)"}', DEFAULT);
INSERT INTO tidemill.stories_20260223 VALUES ('job@2026-03-01T11:55:00Z', '2026-03-01', '2026-03-01 11:55:00+00', 'job', '{"(1,28,10s,\"2026-03-01 12:00:00.1+00\",e.1,,\"2026-03-01 12:00:00.1+00\",,,,,,0000000000000000000000000000000000000000000000000000000000000000,,0,,,,)"}', '{"(20,\"2026-03-01 12:00:00.1+00\",queued,0,\"backfill bf\",backfill)","(49,\"2026-03-01 12:00:00.1+00\",running,1,,)"}', DEFAULT);
INSERT INTO tidemill.stories_20260223 VALUES ('job@2026-03-01T11:54:00Z', '2026-03-01', '2026-03-01 11:54:00+00', 'job', '{"(1,26,10s,\"2026-03-01 12:00:00.1+00\",e.1,,\"2026-03-01 12:00:00.1+00\",,,,,,0000000000000000000000000000000000000000000000000000000000000000,,0,,,,)"}', '{"(21,\"2026-03-01 12:00:00.1+00\",queued,0,\"backfill bf\",backfill)","(48,\"2026-03-01 12:00:00.1+00\",running,1,,)"}', DEFAULT);
INSERT INTO tidemill.stories_20260223 VALUES ('job@2026-03-01T11:53:00Z', '2026-03-01', '2026-03-01 11:53:00+00', 'job', '{}', '{"(22,\"2026-03-01 12:00:00.1+00\",queued,0,\"backfill bf\",backfill)"}', DEFAULT);
INSERT INTO tidemill.stories_20260223 VALUES ('job@2026-03-01T11:52:00Z', '2026-03-01', '2026-03-01 11:52:00+00', 'job', '{}', '{"(23,\"2026-03-01 12:00:00.1+00\",queued,0,\"backfill bf\",backfill)"}', DEFAULT);
INSERT INTO tidemill.stories_20260223 VALUES ('job@2026-03-01T11:51:00Z', '2026-03-01', '2026-03-01 11:51:00+00', 'job', '{}', '{"(24,\"2026-03-01 12:00:00.1+00\",queued,0,\"backfill bf\",backfill)"}', DEFAULT);
INSERT INTO tidemill.stories_20260223 VALUES ('dag#r', '2026-03-01', '2026-03-01 12:00:00+00', 'dag', '{}', '{"(10,\"2026-03-01 12:00:00.1+00\",queued,0,,)","(11,\"2026-03-01 12:00:00.1+00\",running,0,,)"}', DEFAULT);
INSERT INTO tidemill.stories_20260223 VALUES ('dag#r/b', '2026-03-01', '2026-03-01 12:00:00+00', 'dag', '{"(1,41,10s,\"2026-03-01 12:00:00.2+00\",e.1,,\"2026-03-01 12:00:00.2+00\",\"2026-03-01 12:00:00.2+00\",failed,3,\"exit code 3\",exit_code,0000000000000000000000000000000000000000000000000000000000000000,,0,,9437184,0.25,)"}', '{"(38,\"2026-03-01 12:00:00.2+00\",queued,0,,)","(50,\"2026-03-01 12:00:00.2+00\",running,1,,)","(52,\"2026-03-01 12:00:00.3+00\",failed,1,\"exit code 3\",exit_code)","(64,\"2026-03-01 12:00:31.25+00\",succeeded,1,\"marked succeeded by request m\",marked)"}', DEFAULT);
INSERT INTO tidemill.stories_20260223 VALUES ('dag#r/c', '2026-03-01', '2026-03-01 12:00:00+00', 'dag', '{"(1,43,10s,\"2026-03-01 12:00:00.2+00\",e.1,,\"2026-03-01 12:00:00.2+00\",\"2026-03-01 12:00:00.2+00\",succeeded,0,,,0000000000000000000000000000000000000000000000000000000000000000,,0,,9437184,0.25,)"}', '{"(39,\"2026-03-01 12:00:00.2+00\",queued,0,,)","(54,\"2026-03-01 12:00:00.2+00\",running,1,,)","(56,\"2026-03-01 12:00:00.3+00\",succeeded,1,,)"}', DEFAULT);
INSERT INTO tidemill.stories_20260223 VALUES ('dag#r/d', '2026-03-01', '2026-03-01 12:00:00+00', 'dag', '{"(1,59,10s,\"2026-03-01 12:00:00.3+00\",e.1,,\"2026-03-01 12:00:00.3+00\",,,,,,0000000000000000000000000000000000000000000000000000000000000000,,0,,,,)"}', '{"(57,\"2026-03-01 12:00:00.3+00\",queued,0,,)","(61,\"2026-03-01 12:00:00.3+00\",running,1,,)"}', DEFAULT);
INSERT INTO tidemill.stories_20260223 VALUES ('job@2026-03-01T12:01:00Z', '2026-03-01', '2026-03-01 12:01:00+00', 'job', '{}', '{"(67,\"2026-03-01 12:01:01.25+00\",skipped,0,\"job#held is running\",overlap_skipped)"}', DEFAULT);
INSERT INTO tidemill.stories_20260223 VALUES ('job@2026-03-01T12:02:00Z', '2026-03-01', '2026-03-01 12:02:00+00', 'job', '{}', '{"(68,\"2026-03-01 12:02:01.25+00\",skipped,0,\"job#held is running\",overlap_skipped)"}', DEFAULT);


--
-- Data for Name: timeout_classes; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.timeout_classes VALUES ('10s');
INSERT INTO tidemill.timeout_classes VALUES ('1m');
INSERT INTO tidemill.timeout_classes VALUES ('1h');


--
-- Data for Name: weeks; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.weeks VALUES ('2026-02-23', 1, '2026-03-01 12:02:01.25+00', NULL);


--
-- Data for Name: zones; Type: TABLE DATA; Schema: tidemill; Owner: -
--

INSERT INTO tidemill.zones VALUES ('CET');
INSERT INTO tidemill.zones VALUES ('WET');
INSERT INTO tidemill.zones VALUES ('Pacific/Noumea');
INSERT INTO tidemill.zones VALUES ('Pacific/Bougainville');
INSERT INTO tidemill.zones VALUES ('Pacific/Kwajalein');
INSERT INTO tidemill.zones VALUES ('Pacific/Kosrae');
INSERT INTO tidemill.zones VALUES ('Pacific/Auckland');
INSERT INTO tidemill.zones VALUES ('Pacific/Ponape');
INSERT INTO tidemill.zones VALUES ('Pacific/Johnston');
INSERT INTO tidemill.zones VALUES ('Pacific/Efate');
INSERT INTO tidemill.zones VALUES ('Pacific/Midway');
INSERT INTO tidemill.zones VALUES ('Pacific/Marquesas');
INSERT INTO tidemill.zones VALUES ('Pacific/Saipan');
INSERT INTO tidemill.zones VALUES ('Pacific/Fiji');
INSERT INTO tidemill.zones VALUES ('Pacific/Kanton');
INSERT INTO tidemill.zones VALUES ('Pacific/Wake');
INSERT INTO tidemill.zones VALUES ('Pacific/Kiritimati');
INSERT INTO tidemill.zones VALUES ('Pacific/Wallis');
INSERT INTO tidemill.zones VALUES ('Pacific/Fakaofo');
INSERT INTO tidemill.zones VALUES ('Pacific/Galapagos');
INSERT INTO tidemill.zones VALUES ('Pacific/Gambier');
INSERT INTO tidemill.zones VALUES ('Pacific/Enderbury');
INSERT INTO tidemill.zones VALUES ('Pacific/Pitcairn');
INSERT INTO tidemill.zones VALUES ('Pacific/Guadalcanal');
INSERT INTO tidemill.zones VALUES ('Pacific/Chatham');
INSERT INTO tidemill.zones VALUES ('Pacific/Yap');
INSERT INTO tidemill.zones VALUES ('Pacific/Rarotonga');
INSERT INTO tidemill.zones VALUES ('Pacific/Chuuk');
INSERT INTO tidemill.zones VALUES ('Pacific/Funafuti');
INSERT INTO tidemill.zones VALUES ('Pacific/Honolulu');
INSERT INTO tidemill.zones VALUES ('Pacific/Pago_Pago');
INSERT INTO tidemill.zones VALUES ('Pacific/Guam');
INSERT INTO tidemill.zones VALUES ('Pacific/Tarawa');
INSERT INTO tidemill.zones VALUES ('Pacific/Apia');
INSERT INTO tidemill.zones VALUES ('Pacific/Tongatapu');
INSERT INTO tidemill.zones VALUES ('Pacific/Samoa');
INSERT INTO tidemill.zones VALUES ('Pacific/Majuro');
INSERT INTO tidemill.zones VALUES ('Pacific/Niue');
INSERT INTO tidemill.zones VALUES ('Pacific/Easter');
INSERT INTO tidemill.zones VALUES ('Pacific/Nauru');
INSERT INTO tidemill.zones VALUES ('Pacific/Truk');
INSERT INTO tidemill.zones VALUES ('Pacific/Port_Moresby');
INSERT INTO tidemill.zones VALUES ('Pacific/Palau');
INSERT INTO tidemill.zones VALUES ('Pacific/Norfolk');
INSERT INTO tidemill.zones VALUES ('Pacific/Pohnpei');
INSERT INTO tidemill.zones VALUES ('Pacific/Tahiti');
INSERT INTO tidemill.zones VALUES ('MST');
INSERT INTO tidemill.zones VALUES ('EET');
INSERT INTO tidemill.zones VALUES ('HST');
INSERT INTO tidemill.zones VALUES ('NZ-CHAT');
INSERT INTO tidemill.zones VALUES ('Indian/Mauritius');
INSERT INTO tidemill.zones VALUES ('Indian/Mayotte');
INSERT INTO tidemill.zones VALUES ('Indian/Comoro');
INSERT INTO tidemill.zones VALUES ('Indian/Cocos');
INSERT INTO tidemill.zones VALUES ('Indian/Christmas');
INSERT INTO tidemill.zones VALUES ('Indian/Mahe');
INSERT INTO tidemill.zones VALUES ('Indian/Chagos');
INSERT INTO tidemill.zones VALUES ('Indian/Antananarivo');
INSERT INTO tidemill.zones VALUES ('Indian/Maldives');
INSERT INTO tidemill.zones VALUES ('Indian/Reunion');
INSERT INTO tidemill.zones VALUES ('Indian/Kerguelen');
INSERT INTO tidemill.zones VALUES ('Universal');
INSERT INTO tidemill.zones VALUES ('EST5EDT');
INSERT INTO tidemill.zones VALUES ('Jamaica');
INSERT INTO tidemill.zones VALUES ('Portugal');
INSERT INTO tidemill.zones VALUES ('Atlantic/South_Georgia');
INSERT INTO tidemill.zones VALUES ('Atlantic/Faroe');
INSERT INTO tidemill.zones VALUES ('Atlantic/St_Helena');
INSERT INTO tidemill.zones VALUES ('Atlantic/Jan_Mayen');
INSERT INTO tidemill.zones VALUES ('Atlantic/Cape_Verde');
INSERT INTO tidemill.zones VALUES ('Atlantic/Azores');
INSERT INTO tidemill.zones VALUES ('Atlantic/Madeira');
INSERT INTO tidemill.zones VALUES ('Atlantic/Canary');
INSERT INTO tidemill.zones VALUES ('Atlantic/Bermuda');
INSERT INTO tidemill.zones VALUES ('Atlantic/Faeroe');
INSERT INTO tidemill.zones VALUES ('Atlantic/Reykjavik');
INSERT INTO tidemill.zones VALUES ('Atlantic/Stanley');
INSERT INTO tidemill.zones VALUES ('UTC');
INSERT INTO tidemill.zones VALUES ('Kwajalein');
INSERT INTO tidemill.zones VALUES ('EST');
INSERT INTO tidemill.zones VALUES ('Cuba');
INSERT INTO tidemill.zones VALUES ('Hongkong');
INSERT INTO tidemill.zones VALUES ('Canada/Pacific');
INSERT INTO tidemill.zones VALUES ('Canada/Saskatchewan');
INSERT INTO tidemill.zones VALUES ('Canada/Atlantic');
INSERT INTO tidemill.zones VALUES ('Canada/Newfoundland');
INSERT INTO tidemill.zones VALUES ('Canada/Yukon');
INSERT INTO tidemill.zones VALUES ('Canada/Eastern');
INSERT INTO tidemill.zones VALUES ('Canada/Mountain');
INSERT INTO tidemill.zones VALUES ('Canada/Central');
INSERT INTO tidemill.zones VALUES ('UCT');
INSERT INTO tidemill.zones VALUES ('GMT-0');
INSERT INTO tidemill.zones VALUES ('GB');
INSERT INTO tidemill.zones VALUES ('Turkey');
INSERT INTO tidemill.zones VALUES ('ROC');
INSERT INTO tidemill.zones VALUES ('Mexico/General');
INSERT INTO tidemill.zones VALUES ('Mexico/BajaNorte');
INSERT INTO tidemill.zones VALUES ('Mexico/BajaSur');
INSERT INTO tidemill.zones VALUES ('Brazil/West');
INSERT INTO tidemill.zones VALUES ('Brazil/DeNoronha');
INSERT INTO tidemill.zones VALUES ('Brazil/East');
INSERT INTO tidemill.zones VALUES ('Brazil/Acre');
INSERT INTO tidemill.zones VALUES ('Libya');
INSERT INTO tidemill.zones VALUES ('Asia/Aqtau');
INSERT INTO tidemill.zones VALUES ('Asia/Karachi');
INSERT INTO tidemill.zones VALUES ('Asia/Irkutsk');
INSERT INTO tidemill.zones VALUES ('Asia/Yerevan');
INSERT INTO tidemill.zones VALUES ('Asia/Kuala_Lumpur');
INSERT INTO tidemill.zones VALUES ('Asia/Kashgar');
INSERT INTO tidemill.zones VALUES ('Asia/Qyzylorda');
INSERT INTO tidemill.zones VALUES ('Asia/Dushanbe');
INSERT INTO tidemill.zones VALUES ('Asia/Ashkhabad');
INSERT INTO tidemill.zones VALUES ('Asia/Calcutta');
INSERT INTO tidemill.zones VALUES ('Asia/Krasnoyarsk');
INSERT INTO tidemill.zones VALUES ('Asia/Gaza');
INSERT INTO tidemill.zones VALUES ('Asia/Brunei');
INSERT INTO tidemill.zones VALUES ('Asia/Dacca');
INSERT INTO tidemill.zones VALUES ('Asia/Harbin');
INSERT INTO tidemill.zones VALUES ('Asia/Istanbul');
INSERT INTO tidemill.zones VALUES ('Asia/Amman');
INSERT INTO tidemill.zones VALUES ('Asia/Taipei');
INSERT INTO tidemill.zones VALUES ('Asia/Ho_Chi_Minh');
INSERT INTO tidemill.zones VALUES ('Asia/Rangoon');
INSERT INTO tidemill.zones VALUES ('Asia/Damascus');
INSERT INTO tidemill.zones VALUES ('Asia/Qatar');
INSERT INTO tidemill.zones VALUES ('Asia/Ust-Nera');
INSERT INTO tidemill.zones VALUES ('Asia/Urumqi');
INSERT INTO tidemill.zones VALUES ('Asia/Kuwait');
INSERT INTO tidemill.zones VALUES ('Asia/Hovd');
INSERT INTO tidemill.zones VALUES ('Asia/Tokyo');
INSERT INTO tidemill.zones VALUES ('Asia/Ashgabat');
INSERT INTO tidemill.zones VALUES ('Asia/Aqtobe');
INSERT INTO tidemill.zones VALUES ('Asia/Thimphu');
INSERT INTO tidemill.zones VALUES ('Asia/Muscat');
INSERT INTO tidemill.zones VALUES ('Asia/Macao');
INSERT INTO tidemill.zones VALUES ('Asia/Manila');
INSERT INTO tidemill.zones VALUES ('Asia/Pyongyang');
INSERT INTO tidemill.zones VALUES ('Asia/Ujung_Pandang');
INSERT INTO tidemill.zones VALUES ('Asia/Choibalsan');
INSERT INTO tidemill.zones VALUES ('Asia/Chungking');
INSERT INTO tidemill.zones VALUES ('Asia/Chita');
INSERT INTO tidemill.zones VALUES ('Asia/Oral');
INSERT INTO tidemill.zones VALUES ('Asia/Omsk');
INSERT INTO tidemill.zones VALUES ('Asia/Riyadh');
INSERT INTO tidemill.zones VALUES ('Asia/Macau');
INSERT INTO tidemill.zones VALUES ('Asia/Nicosia');
INSERT INTO tidemill.zones VALUES ('Asia/Thimbu');
INSERT INTO tidemill.zones VALUES ('Asia/Ulaanbaatar');
INSERT INTO tidemill.zones VALUES ('Asia/Colombo');
INSERT INTO tidemill.zones VALUES ('Asia/Saigon');
INSERT INTO tidemill.zones VALUES ('Asia/Novokuznetsk');
INSERT INTO tidemill.zones VALUES ('Asia/Katmandu');
INSERT INTO tidemill.zones VALUES ('Asia/Bishkek');
INSERT INTO tidemill.zones VALUES ('Asia/Bangkok');
INSERT INTO tidemill.zones VALUES ('Asia/Shanghai');
INSERT INTO tidemill.zones VALUES ('Asia/Atyrau');
INSERT INTO tidemill.zones VALUES ('Asia/Beirut');
INSERT INTO tidemill.zones VALUES ('Asia/Hong_Kong');
INSERT INTO tidemill.zones VALUES ('Asia/Baku');
INSERT INTO tidemill.zones VALUES ('Asia/Kabul');
INSERT INTO tidemill.zones VALUES ('Asia/Anadyr');
INSERT INTO tidemill.zones VALUES ('Asia/Qostanay');
INSERT INTO tidemill.zones VALUES ('Asia/Vladivostok');
INSERT INTO tidemill.zones VALUES ('Asia/Almaty');
INSERT INTO tidemill.zones VALUES ('Asia/Yekaterinburg');
INSERT INTO tidemill.zones VALUES ('Asia/Novosibirsk');
INSERT INTO tidemill.zones VALUES ('Asia/Tomsk');
INSERT INTO tidemill.zones VALUES ('Asia/Kathmandu');
INSERT INTO tidemill.zones VALUES ('Asia/Samarkand');
INSERT INTO tidemill.zones VALUES ('Asia/Kuching');
INSERT INTO tidemill.zones VALUES ('Asia/Famagusta');
INSERT INTO tidemill.zones VALUES ('Asia/Hebron');
INSERT INTO tidemill.zones VALUES ('Asia/Tel_Aviv');
INSERT INTO tidemill.zones VALUES ('Asia/Tbilisi');
INSERT INTO tidemill.zones VALUES ('Asia/Ulan_Bator');
INSERT INTO tidemill.zones VALUES ('Asia/Kolkata');
INSERT INTO tidemill.zones VALUES ('Asia/Dubai');
INSERT INTO tidemill.zones VALUES ('Asia/Pontianak');
INSERT INTO tidemill.zones VALUES ('Asia/Dhaka');
INSERT INTO tidemill.zones VALUES ('Asia/Kamchatka');
INSERT INTO tidemill.zones VALUES ('Asia/Yangon');
INSERT INTO tidemill.zones VALUES ('Asia/Seoul');
INSERT INTO tidemill.zones VALUES ('Asia/Tehran');
INSERT INTO tidemill.zones VALUES ('Asia/Yakutsk');
INSERT INTO tidemill.zones VALUES ('Asia/Jayapura');
INSERT INTO tidemill.zones VALUES ('Asia/Aden');
INSERT INTO tidemill.zones VALUES ('Asia/Jakarta');
INSERT INTO tidemill.zones VALUES ('Asia/Dili');
INSERT INTO tidemill.zones VALUES ('Asia/Bahrain');
INSERT INTO tidemill.zones VALUES ('Asia/Jerusalem');
INSERT INTO tidemill.zones VALUES ('Asia/Sakhalin');
INSERT INTO tidemill.zones VALUES ('Asia/Barnaul');
INSERT INTO tidemill.zones VALUES ('Asia/Khandyga');
INSERT INTO tidemill.zones VALUES ('Asia/Magadan');
INSERT INTO tidemill.zones VALUES ('Asia/Srednekolymsk');
INSERT INTO tidemill.zones VALUES ('Asia/Makassar');
INSERT INTO tidemill.zones VALUES ('Asia/Phnom_Penh');
INSERT INTO tidemill.zones VALUES ('Asia/Tashkent');
INSERT INTO tidemill.zones VALUES ('Asia/Singapore');
INSERT INTO tidemill.zones VALUES ('Asia/Chongqing');
INSERT INTO tidemill.zones VALUES ('Asia/Baghdad');
INSERT INTO tidemill.zones VALUES ('Asia/Vientiane');
INSERT INTO tidemill.zones VALUES ('W-SU');
INSERT INTO tidemill.zones VALUES ('Iran');
INSERT INTO tidemill.zones VALUES ('Eire');
INSERT INTO tidemill.zones VALUES ('Australia/Victoria');
INSERT INTO tidemill.zones VALUES ('Australia/Canberra');
INSERT INTO tidemill.zones VALUES ('Australia/Lindeman');
INSERT INTO tidemill.zones VALUES ('Australia/Darwin');
INSERT INTO tidemill.zones VALUES ('Australia/LHI');
INSERT INTO tidemill.zones VALUES ('Australia/Melbourne');
INSERT INTO tidemill.zones VALUES ('Australia/West');
INSERT INTO tidemill.zones VALUES ('Australia/Hobart');
INSERT INTO tidemill.zones VALUES ('Australia/Sydney');
INSERT INTO tidemill.zones VALUES ('Australia/Perth');
INSERT INTO tidemill.zones VALUES ('Australia/Lord_Howe');
INSERT INTO tidemill.zones VALUES ('Australia/Currie');
INSERT INTO tidemill.zones VALUES ('Australia/Queensland');
INSERT INTO tidemill.zones VALUES ('Australia/Yancowinna');
INSERT INTO tidemill.zones VALUES ('Australia/Brisbane');
INSERT INTO tidemill.zones VALUES ('Australia/Tasmania');
INSERT INTO tidemill.zones VALUES ('Australia/NSW');
INSERT INTO tidemill.zones VALUES ('Australia/Adelaide');
INSERT INTO tidemill.zones VALUES ('Australia/North');
INSERT INTO tidemill.zones VALUES ('Australia/ACT');
INSERT INTO tidemill.zones VALUES ('Australia/Eucla');
INSERT INTO tidemill.zones VALUES ('Australia/South');
INSERT INTO tidemill.zones VALUES ('Australia/Broken_Hill');
INSERT INTO tidemill.zones VALUES ('Arctic/Longyearbyen');
INSERT INTO tidemill.zones VALUES ('Egypt');
INSERT INTO tidemill.zones VALUES ('Navajo');
INSERT INTO tidemill.zones VALUES ('Israel');
INSERT INTO tidemill.zones VALUES ('Europe/Riga');
INSERT INTO tidemill.zones VALUES ('Europe/Belgrade');
INSERT INTO tidemill.zones VALUES ('Europe/Podgorica');
INSERT INTO tidemill.zones VALUES ('Europe/Sarajevo');
INSERT INTO tidemill.zones VALUES ('Europe/Vaduz');
INSERT INTO tidemill.zones VALUES ('Europe/Brussels');
INSERT INTO tidemill.zones VALUES ('Europe/Istanbul');
INSERT INTO tidemill.zones VALUES ('Europe/Simferopol');
INSERT INTO tidemill.zones VALUES ('Europe/Rome');
INSERT INTO tidemill.zones VALUES ('Europe/Berlin');
INSERT INTO tidemill.zones VALUES ('Europe/Isle_of_Man');
INSERT INTO tidemill.zones VALUES ('Europe/Kirov');
INSERT INTO tidemill.zones VALUES ('Europe/Prague');
INSERT INTO tidemill.zones VALUES ('Europe/Kyiv');
INSERT INTO tidemill.zones VALUES ('Europe/Dublin');
INSERT INTO tidemill.zones VALUES ('Europe/Bratislava');
INSERT INTO tidemill.zones VALUES ('Europe/Mariehamn');
INSERT INTO tidemill.zones VALUES ('Europe/Ulyanovsk');
INSERT INTO tidemill.zones VALUES ('Europe/Oslo');
INSERT INTO tidemill.zones VALUES ('Europe/Tiraspol');
INSERT INTO tidemill.zones VALUES ('Europe/Amsterdam');
INSERT INTO tidemill.zones VALUES ('Europe/Madrid');
INSERT INTO tidemill.zones VALUES ('Europe/Uzhgorod');
INSERT INTO tidemill.zones VALUES ('Europe/Zurich');
INSERT INTO tidemill.zones VALUES ('Europe/Minsk');
INSERT INTO tidemill.zones VALUES ('Europe/Kiev');
INSERT INTO tidemill.zones VALUES ('Europe/Saratov');
INSERT INTO tidemill.zones VALUES ('Europe/Monaco');
INSERT INTO tidemill.zones VALUES ('Europe/Ljubljana');
INSERT INTO tidemill.zones VALUES ('Europe/Nicosia');
INSERT INTO tidemill.zones VALUES ('Europe/Budapest');
INSERT INTO tidemill.zones VALUES ('Europe/Zaporozhye');
INSERT INTO tidemill.zones VALUES ('Europe/Astrakhan');
INSERT INTO tidemill.zones VALUES ('Europe/Helsinki');
INSERT INTO tidemill.zones VALUES ('Europe/Vienna');
INSERT INTO tidemill.zones VALUES ('Europe/Zagreb');
INSERT INTO tidemill.zones VALUES ('Europe/Vatican');
INSERT INTO tidemill.zones VALUES ('Europe/San_Marino');
INSERT INTO tidemill.zones VALUES ('Europe/Jersey');
INSERT INTO tidemill.zones VALUES ('Europe/Belfast');
INSERT INTO tidemill.zones VALUES ('Europe/Moscow');
INSERT INTO tidemill.zones VALUES ('Europe/Busingen');
INSERT INTO tidemill.zones VALUES ('Europe/Guernsey');
INSERT INTO tidemill.zones VALUES ('Europe/Lisbon');
INSERT INTO tidemill.zones VALUES ('Europe/Chisinau');
INSERT INTO tidemill.zones VALUES ('Europe/Skopje');
INSERT INTO tidemill.zones VALUES ('Europe/Stockholm');
INSERT INTO tidemill.zones VALUES ('Europe/Tallinn');
INSERT INTO tidemill.zones VALUES ('Europe/Gibraltar');
INSERT INTO tidemill.zones VALUES ('Europe/Vilnius');
INSERT INTO tidemill.zones VALUES ('Europe/Tirane');
INSERT INTO tidemill.zones VALUES ('Europe/Samara');
INSERT INTO tidemill.zones VALUES ('Europe/Sofia');
INSERT INTO tidemill.zones VALUES ('Europe/Copenhagen');
INSERT INTO tidemill.zones VALUES ('Europe/Kaliningrad');
INSERT INTO tidemill.zones VALUES ('Europe/Volgograd');
INSERT INTO tidemill.zones VALUES ('Europe/Bucharest');
INSERT INTO tidemill.zones VALUES ('Europe/Andorra');
INSERT INTO tidemill.zones VALUES ('Europe/Luxembourg');
INSERT INTO tidemill.zones VALUES ('Europe/Athens');
INSERT INTO tidemill.zones VALUES ('Europe/Warsaw');
INSERT INTO tidemill.zones VALUES ('Europe/Paris');
INSERT INTO tidemill.zones VALUES ('Europe/Malta');
INSERT INTO tidemill.zones VALUES ('Europe/London');
INSERT INTO tidemill.zones VALUES ('Japan');
INSERT INTO tidemill.zones VALUES ('GMT0');
INSERT INTO tidemill.zones VALUES ('MET');
INSERT INTO tidemill.zones VALUES ('Iceland');
INSERT INTO tidemill.zones VALUES ('GMT');
INSERT INTO tidemill.zones VALUES ('GMT+0');
INSERT INTO tidemill.zones VALUES ('Greenwich');
INSERT INTO tidemill.zones VALUES ('Chile/Continental');
INSERT INTO tidemill.zones VALUES ('Chile/EasterIsland');
INSERT INTO tidemill.zones VALUES ('Antarctica/Troll');
INSERT INTO tidemill.zones VALUES ('Antarctica/Casey');
INSERT INTO tidemill.zones VALUES ('Antarctica/McMurdo');
INSERT INTO tidemill.zones VALUES ('Antarctica/Vostok');
INSERT INTO tidemill.zones VALUES ('Antarctica/South_Pole');
INSERT INTO tidemill.zones VALUES ('Antarctica/Mawson');
INSERT INTO tidemill.zones VALUES ('Antarctica/DumontDUrville');
INSERT INTO tidemill.zones VALUES ('Antarctica/Palmer');
INSERT INTO tidemill.zones VALUES ('Antarctica/Syowa');
INSERT INTO tidemill.zones VALUES ('Antarctica/Rothera');
INSERT INTO tidemill.zones VALUES ('Antarctica/Davis');
INSERT INTO tidemill.zones VALUES ('Antarctica/Macquarie');
INSERT INTO tidemill.zones VALUES ('Zulu');
INSERT INTO tidemill.zones VALUES ('CST6CDT');
INSERT INTO tidemill.zones VALUES ('Etc/GMT+8');
INSERT INTO tidemill.zones VALUES ('Etc/Universal');
INSERT INTO tidemill.zones VALUES ('Etc/GMT-6');
INSERT INTO tidemill.zones VALUES ('Etc/UTC');
INSERT INTO tidemill.zones VALUES ('Etc/UCT');
INSERT INTO tidemill.zones VALUES ('Etc/GMT-0');
INSERT INTO tidemill.zones VALUES ('Etc/GMT+10');
INSERT INTO tidemill.zones VALUES ('Etc/GMT+2');
INSERT INTO tidemill.zones VALUES ('Etc/GMT+4');
INSERT INTO tidemill.zones VALUES ('Etc/GMT+7');
INSERT INTO tidemill.zones VALUES ('Etc/GMT-4');
INSERT INTO tidemill.zones VALUES ('Etc/GMT+1');
INSERT INTO tidemill.zones VALUES ('Etc/GMT-3');
INSERT INTO tidemill.zones VALUES ('Etc/GMT-10');
INSERT INTO tidemill.zones VALUES ('Etc/GMT-8');
INSERT INTO tidemill.zones VALUES ('Etc/GMT0');
INSERT INTO tidemill.zones VALUES ('Etc/GMT-5');
INSERT INTO tidemill.zones VALUES ('Etc/GMT');
INSERT INTO tidemill.zones VALUES ('Etc/GMT+0');
INSERT INTO tidemill.zones VALUES ('Etc/Greenwich');
INSERT INTO tidemill.zones VALUES ('Etc/GMT+11');
INSERT INTO tidemill.zones VALUES ('Etc/Zulu');
INSERT INTO tidemill.zones VALUES ('Etc/GMT+12');
INSERT INTO tidemill.zones VALUES ('Etc/GMT-13');
INSERT INTO tidemill.zones VALUES ('Etc/GMT-9');
INSERT INTO tidemill.zones VALUES ('Etc/GMT+5');
INSERT INTO tidemill.zones VALUES ('Etc/GMT+3');
INSERT INTO tidemill.zones VALUES ('Etc/GMT-1');
INSERT INTO tidemill.zones VALUES ('Etc/GMT-14');
INSERT INTO tidemill.zones VALUES ('Etc/GMT-2');
INSERT INTO tidemill.zones VALUES ('Etc/GMT-7');
INSERT INTO tidemill.zones VALUES ('Etc/GMT-12');
INSERT INTO tidemill.zones VALUES ('Etc/GMT+9');
INSERT INTO tidemill.zones VALUES ('Etc/GMT+6');
INSERT INTO tidemill.zones VALUES ('Etc/GMT-11');
INSERT INTO tidemill.zones VALUES ('MST7MDT');
INSERT INTO tidemill.zones VALUES ('NZ');
INSERT INTO tidemill.zones VALUES ('GB-Eire');
INSERT INTO tidemill.zones VALUES ('America/Fort_Wayne');
INSERT INTO tidemill.zones VALUES ('America/Guyana');
INSERT INTO tidemill.zones VALUES ('America/Montevideo');
INSERT INTO tidemill.zones VALUES ('America/Manaus');
INSERT INTO tidemill.zones VALUES ('America/St_Kitts');
INSERT INTO tidemill.zones VALUES ('America/Shiprock');
INSERT INTO tidemill.zones VALUES ('America/Guadeloupe');
INSERT INTO tidemill.zones VALUES ('America/Sao_Paulo');
INSERT INTO tidemill.zones VALUES ('America/Godthab');
INSERT INTO tidemill.zones VALUES ('America/Tortola');
INSERT INTO tidemill.zones VALUES ('America/Coyhaique');
INSERT INTO tidemill.zones VALUES ('America/Curacao');
INSERT INTO tidemill.zones VALUES ('America/Ensenada');
INSERT INTO tidemill.zones VALUES ('America/Jamaica');
INSERT INTO tidemill.zones VALUES ('America/Managua');
INSERT INTO tidemill.zones VALUES ('America/Miquelon');
INSERT INTO tidemill.zones VALUES ('America/La_Paz');
INSERT INTO tidemill.zones VALUES ('America/Chihuahua');
INSERT INTO tidemill.zones VALUES ('America/Detroit');
INSERT INTO tidemill.zones VALUES ('America/Winnipeg');
INSERT INTO tidemill.zones VALUES ('America/Indiana/Indianapolis');
INSERT INTO tidemill.zones VALUES ('America/Indiana/Petersburg');
INSERT INTO tidemill.zones VALUES ('America/Indiana/Tell_City');
INSERT INTO tidemill.zones VALUES ('America/Indiana/Winamac');
INSERT INTO tidemill.zones VALUES ('America/Indiana/Marengo');
INSERT INTO tidemill.zones VALUES ('America/Indiana/Vevay');
INSERT INTO tidemill.zones VALUES ('America/Indiana/Vincennes');
INSERT INTO tidemill.zones VALUES ('America/Indiana/Knox');
INSERT INTO tidemill.zones VALUES ('America/Port_of_Spain');
INSERT INTO tidemill.zones VALUES ('America/Port-au-Prince');
INSERT INTO tidemill.zones VALUES ('America/New_York');
INSERT INTO tidemill.zones VALUES ('America/Grand_Turk');
INSERT INTO tidemill.zones VALUES ('America/St_Vincent');
INSERT INTO tidemill.zones VALUES ('America/Danmarkshavn');
INSERT INTO tidemill.zones VALUES ('America/Coral_Harbour');
INSERT INTO tidemill.zones VALUES ('America/Eirunepe');
INSERT INTO tidemill.zones VALUES ('America/Indianapolis');
INSERT INTO tidemill.zones VALUES ('America/Hermosillo');
INSERT INTO tidemill.zones VALUES ('America/Los_Angeles');
INSERT INTO tidemill.zones VALUES ('America/Mazatlan');
INSERT INTO tidemill.zones VALUES ('America/Vancouver');
INSERT INTO tidemill.zones VALUES ('America/Regina');
INSERT INTO tidemill.zones VALUES ('America/Guayaquil');
INSERT INTO tidemill.zones VALUES ('America/Adak');
INSERT INTO tidemill.zones VALUES ('America/Metlakatla');
INSERT INTO tidemill.zones VALUES ('America/Marigot');
INSERT INTO tidemill.zones VALUES ('America/Cayenne');
INSERT INTO tidemill.zones VALUES ('America/Porto_Velho');
INSERT INTO tidemill.zones VALUES ('America/Guatemala');
INSERT INTO tidemill.zones VALUES ('America/Panama');
INSERT INTO tidemill.zones VALUES ('America/Thunder_Bay');
INSERT INTO tidemill.zones VALUES ('America/Belem');
INSERT INTO tidemill.zones VALUES ('America/Fort_Nelson');
INSERT INTO tidemill.zones VALUES ('America/Araguaina');
INSERT INTO tidemill.zones VALUES ('America/Aruba');
INSERT INTO tidemill.zones VALUES ('America/Cordoba');
INSERT INTO tidemill.zones VALUES ('America/Caracas');
INSERT INTO tidemill.zones VALUES ('America/Moncton');
INSERT INTO tidemill.zones VALUES ('America/Yakutat');
INSERT INTO tidemill.zones VALUES ('America/Punta_Arenas');
INSERT INTO tidemill.zones VALUES ('America/Denver');
INSERT INTO tidemill.zones VALUES ('America/Nipigon');
INSERT INTO tidemill.zones VALUES ('America/Tijuana');
INSERT INTO tidemill.zones VALUES ('America/Boa_Vista');
INSERT INTO tidemill.zones VALUES ('America/Asuncion');
INSERT INTO tidemill.zones VALUES ('America/Iqaluit');
INSERT INTO tidemill.zones VALUES ('America/North_Dakota/Center');
INSERT INTO tidemill.zones VALUES ('America/North_Dakota/New_Salem');
INSERT INTO tidemill.zones VALUES ('America/North_Dakota/Beulah');
INSERT INTO tidemill.zones VALUES ('America/St_Lucia');
INSERT INTO tidemill.zones VALUES ('America/Dominica');
INSERT INTO tidemill.zones VALUES ('America/Bogota');
INSERT INTO tidemill.zones VALUES ('America/Atka');
INSERT INTO tidemill.zones VALUES ('America/Cuiaba');
INSERT INTO tidemill.zones VALUES ('America/Chicago');
INSERT INTO tidemill.zones VALUES ('America/Havana');
INSERT INTO tidemill.zones VALUES ('America/Kentucky/Louisville');
INSERT INTO tidemill.zones VALUES ('America/Kentucky/Monticello');
INSERT INTO tidemill.zones VALUES ('America/Rainy_River');
INSERT INTO tidemill.zones VALUES ('America/Campo_Grande');
INSERT INTO tidemill.zones VALUES ('America/Santa_Isabel');
INSERT INTO tidemill.zones VALUES ('America/Nassau');
INSERT INTO tidemill.zones VALUES ('America/Jujuy');
INSERT INTO tidemill.zones VALUES ('America/Atikokan');
INSERT INTO tidemill.zones VALUES ('America/Rio_Branco');
INSERT INTO tidemill.zones VALUES ('America/Ciudad_Juarez');
INSERT INTO tidemill.zones VALUES ('America/Santarem');
INSERT INTO tidemill.zones VALUES ('America/Phoenix');
INSERT INTO tidemill.zones VALUES ('America/Santo_Domingo');
INSERT INTO tidemill.zones VALUES ('America/Noronha');
INSERT INTO tidemill.zones VALUES ('America/Swift_Current');
INSERT INTO tidemill.zones VALUES ('America/Toronto');
INSERT INTO tidemill.zones VALUES ('America/Louisville');
INSERT INTO tidemill.zones VALUES ('America/Virgin');
INSERT INTO tidemill.zones VALUES ('America/Kralendijk');
INSERT INTO tidemill.zones VALUES ('America/Creston');
INSERT INTO tidemill.zones VALUES ('America/Menominee');
INSERT INTO tidemill.zones VALUES ('America/Puerto_Rico');
INSERT INTO tidemill.zones VALUES ('America/Thule');
INSERT INTO tidemill.zones VALUES ('America/Bahia');
INSERT INTO tidemill.zones VALUES ('America/Glace_Bay');
INSERT INTO tidemill.zones VALUES ('America/Antigua');
INSERT INTO tidemill.zones VALUES ('America/Matamoros');
INSERT INTO tidemill.zones VALUES ('America/Boise');
INSERT INTO tidemill.zones VALUES ('America/Sitka');
INSERT INTO tidemill.zones VALUES ('America/Argentina/Rio_Gallegos');
INSERT INTO tidemill.zones VALUES ('America/Argentina/Tucuman');
INSERT INTO tidemill.zones VALUES ('America/Argentina/Salta');
INSERT INTO tidemill.zones VALUES ('America/Argentina/San_Luis');
INSERT INTO tidemill.zones VALUES ('America/Argentina/Cordoba');
INSERT INTO tidemill.zones VALUES ('America/Argentina/San_Juan');
INSERT INTO tidemill.zones VALUES ('America/Argentina/La_Rioja');
INSERT INTO tidemill.zones VALUES ('America/Argentina/Jujuy');
INSERT INTO tidemill.zones VALUES ('America/Argentina/Ushuaia');
INSERT INTO tidemill.zones VALUES ('America/Argentina/Buenos_Aires');
INSERT INTO tidemill.zones VALUES ('America/Argentina/ComodRivadavia');
INSERT INTO tidemill.zones VALUES ('America/Argentina/Catamarca');
INSERT INTO tidemill.zones VALUES ('America/Argentina/Mendoza');
INSERT INTO tidemill.zones VALUES ('America/Costa_Rica');
INSERT INTO tidemill.zones VALUES ('America/Anguilla');
INSERT INTO tidemill.zones VALUES ('America/Lima');
INSERT INTO tidemill.zones VALUES ('America/Porto_Acre');
INSERT INTO tidemill.zones VALUES ('America/Dawson_Creek');
INSERT INTO tidemill.zones VALUES ('America/Resolute');
INSERT INTO tidemill.zones VALUES ('America/Buenos_Aires');
INSERT INTO tidemill.zones VALUES ('America/Blanc-Sablon');
INSERT INTO tidemill.zones VALUES ('America/Halifax');
INSERT INTO tidemill.zones VALUES ('America/Fortaleza');
INSERT INTO tidemill.zones VALUES ('America/St_Johns');
INSERT INTO tidemill.zones VALUES ('America/Bahia_Banderas');
INSERT INTO tidemill.zones VALUES ('America/Nuuk');
INSERT INTO tidemill.zones VALUES ('America/Cambridge_Bay');
INSERT INTO tidemill.zones VALUES ('America/Inuvik');
INSERT INTO tidemill.zones VALUES ('America/Cancun');
INSERT INTO tidemill.zones VALUES ('America/Edmonton');
INSERT INTO tidemill.zones VALUES ('America/Scoresbysund');
INSERT INTO tidemill.zones VALUES ('America/Rankin_Inlet');
INSERT INTO tidemill.zones VALUES ('America/Santiago');
INSERT INTO tidemill.zones VALUES ('America/Belize');
INSERT INTO tidemill.zones VALUES ('America/Rosario');
INSERT INTO tidemill.zones VALUES ('America/Catamarca');
INSERT INTO tidemill.zones VALUES ('America/Anchorage');
INSERT INTO tidemill.zones VALUES ('America/Yellowknife');
INSERT INTO tidemill.zones VALUES ('America/Lower_Princes');
INSERT INTO tidemill.zones VALUES ('America/Grenada');
INSERT INTO tidemill.zones VALUES ('America/Knox_IN');
INSERT INTO tidemill.zones VALUES ('America/Ojinaga');
INSERT INTO tidemill.zones VALUES ('America/Goose_Bay');
INSERT INTO tidemill.zones VALUES ('America/Mexico_City');
INSERT INTO tidemill.zones VALUES ('America/Montreal');
INSERT INTO tidemill.zones VALUES ('America/Paramaribo');
INSERT INTO tidemill.zones VALUES ('America/Dawson');
INSERT INTO tidemill.zones VALUES ('America/Nome');
INSERT INTO tidemill.zones VALUES ('America/Pangnirtung');
INSERT INTO tidemill.zones VALUES ('America/Martinique');
INSERT INTO tidemill.zones VALUES ('America/Recife');
INSERT INTO tidemill.zones VALUES ('America/Merida');
INSERT INTO tidemill.zones VALUES ('America/Cayman');
INSERT INTO tidemill.zones VALUES ('America/Maceio');
INSERT INTO tidemill.zones VALUES ('America/Whitehorse');
INSERT INTO tidemill.zones VALUES ('America/Mendoza');
INSERT INTO tidemill.zones VALUES ('America/Montserrat');
INSERT INTO tidemill.zones VALUES ('America/El_Salvador');
INSERT INTO tidemill.zones VALUES ('America/Juneau');
INSERT INTO tidemill.zones VALUES ('America/Monterrey');
INSERT INTO tidemill.zones VALUES ('America/Tegucigalpa');
INSERT INTO tidemill.zones VALUES ('America/St_Thomas');
INSERT INTO tidemill.zones VALUES ('America/St_Barthelemy');
INSERT INTO tidemill.zones VALUES ('America/Barbados');
INSERT INTO tidemill.zones VALUES ('Poland');
INSERT INTO tidemill.zones VALUES ('Africa/Sao_Tome');
INSERT INTO tidemill.zones VALUES ('Africa/Bamako');
INSERT INTO tidemill.zones VALUES ('Africa/Mogadishu');
INSERT INTO tidemill.zones VALUES ('Africa/Malabo');
INSERT INTO tidemill.zones VALUES ('Africa/Cairo');
INSERT INTO tidemill.zones VALUES ('Africa/Mbabane');
INSERT INTO tidemill.zones VALUES ('Africa/Harare');
INSERT INTO tidemill.zones VALUES ('Africa/Addis_Ababa');
INSERT INTO tidemill.zones VALUES ('Africa/Gaborone');
INSERT INTO tidemill.zones VALUES ('Africa/Nairobi');
INSERT INTO tidemill.zones VALUES ('Africa/Lusaka');
INSERT INTO tidemill.zones VALUES ('Africa/Johannesburg');
INSERT INTO tidemill.zones VALUES ('Africa/Douala');
INSERT INTO tidemill.zones VALUES ('Africa/Porto-Novo');
INSERT INTO tidemill.zones VALUES ('Africa/Kampala');
INSERT INTO tidemill.zones VALUES ('Africa/Luanda');
INSERT INTO tidemill.zones VALUES ('Africa/Tripoli');
INSERT INTO tidemill.zones VALUES ('Africa/Lagos');
INSERT INTO tidemill.zones VALUES ('Africa/Niamey');
INSERT INTO tidemill.zones VALUES ('Africa/Lubumbashi');
INSERT INTO tidemill.zones VALUES ('Africa/Monrovia');
INSERT INTO tidemill.zones VALUES ('Africa/Kigali');
INSERT INTO tidemill.zones VALUES ('Africa/Lome');
INSERT INTO tidemill.zones VALUES ('Africa/Accra');
INSERT INTO tidemill.zones VALUES ('Africa/Maputo');
INSERT INTO tidemill.zones VALUES ('Africa/Maseru');
INSERT INTO tidemill.zones VALUES ('Africa/Bissau');
INSERT INTO tidemill.zones VALUES ('Africa/Freetown');
INSERT INTO tidemill.zones VALUES ('Africa/Asmera');
INSERT INTO tidemill.zones VALUES ('Africa/Bujumbura');
INSERT INTO tidemill.zones VALUES ('Africa/Kinshasa');
INSERT INTO tidemill.zones VALUES ('Africa/Khartoum');
INSERT INTO tidemill.zones VALUES ('Africa/Brazzaville');
INSERT INTO tidemill.zones VALUES ('Africa/Banjul');
INSERT INTO tidemill.zones VALUES ('Africa/Juba');
INSERT INTO tidemill.zones VALUES ('Africa/Abidjan');
INSERT INTO tidemill.zones VALUES ('Africa/Ndjamena');
INSERT INTO tidemill.zones VALUES ('Africa/Nouakchott');
INSERT INTO tidemill.zones VALUES ('Africa/Algiers');
INSERT INTO tidemill.zones VALUES ('Africa/Bangui');
INSERT INTO tidemill.zones VALUES ('Africa/Dar_es_Salaam');
INSERT INTO tidemill.zones VALUES ('Africa/Asmara');
INSERT INTO tidemill.zones VALUES ('Africa/Ceuta');
INSERT INTO tidemill.zones VALUES ('Africa/Timbuktu');
INSERT INTO tidemill.zones VALUES ('Africa/Casablanca');
INSERT INTO tidemill.zones VALUES ('Africa/Windhoek');
INSERT INTO tidemill.zones VALUES ('Africa/El_Aaiun');
INSERT INTO tidemill.zones VALUES ('Africa/Libreville');
INSERT INTO tidemill.zones VALUES ('Africa/Blantyre');
INSERT INTO tidemill.zones VALUES ('Africa/Tunis');
INSERT INTO tidemill.zones VALUES ('Africa/Ouagadougou');
INSERT INTO tidemill.zones VALUES ('Africa/Conakry');
INSERT INTO tidemill.zones VALUES ('Africa/Djibouti');
INSERT INTO tidemill.zones VALUES ('Africa/Dakar');
INSERT INTO tidemill.zones VALUES ('ROK');
INSERT INTO tidemill.zones VALUES ('US/Pacific');
INSERT INTO tidemill.zones VALUES ('US/Arizona');
INSERT INTO tidemill.zones VALUES ('US/Indiana-Starke');
INSERT INTO tidemill.zones VALUES ('US/Aleutian');
INSERT INTO tidemill.zones VALUES ('US/Alaska');
INSERT INTO tidemill.zones VALUES ('US/Eastern');
INSERT INTO tidemill.zones VALUES ('US/Hawaii');
INSERT INTO tidemill.zones VALUES ('US/Mountain');
INSERT INTO tidemill.zones VALUES ('US/East-Indiana');
INSERT INTO tidemill.zones VALUES ('US/Michigan');
INSERT INTO tidemill.zones VALUES ('US/Samoa');
INSERT INTO tidemill.zones VALUES ('US/Central');
INSERT INTO tidemill.zones VALUES ('PRC');
INSERT INTO tidemill.zones VALUES ('Singapore');
INSERT INTO tidemill.zones VALUES ('PST8PDT');


--
-- Name: audit_number; Type: SEQUENCE SET; Schema: tidemill; Owner: -
--

SELECT pg_catalog.setval('tidemill.audit_number', 1, false);


--
-- Name: definition_version; Type: SEQUENCE SET; Schema: tidemill; Owner: -
--

SELECT pg_catalog.setval('tidemill.definition_version', 7, true);


--
-- Name: audit_log audit_log_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (at, number);


--
-- Name: audit_log_20260223 audit_log_20260223_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.audit_log_20260223
    ADD CONSTRAINT audit_log_20260223_pkey PRIMARY KEY (at, number);


--
-- Name: dag_changes dag_changes_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.dag_changes
    ADD CONSTRAINT dag_changes_pkey PRIMARY KEY (dag_id, changed_by);


--
-- Name: dag_nodes dag_nodes_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.dag_nodes
    ADD CONSTRAINT dag_nodes_pkey PRIMARY KEY (dag_id, node_id);


--
-- Name: dags dags_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.dags
    ADD CONSTRAINT dags_pkey PRIMARY KEY (dag_id);


--
-- Name: definitions definitions_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.definitions
    ADD CONSTRAINT definitions_pkey PRIMARY KEY (owner, kind, version);


--
-- Name: definitions_pruned definitions_pruned_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.definitions_pruned
    ADD CONSTRAINT definitions_pruned_pkey PRIMARY KEY (id);


--
-- Name: deployment deployment_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.deployment
    ADD CONSTRAINT deployment_pkey PRIMARY KEY (id);


--
-- Name: fences fences_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.fences
    ADD CONSTRAINT fences_pkey PRIMARY KEY (run_id);


--
-- Name: heartbeat heartbeat_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.heartbeat
    ADD CONSTRAINT heartbeat_pkey PRIMARY KEY (id);


--
-- Name: jobs jobs_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (job_id);


--
-- Name: members members_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.members
    ADD CONSTRAINT members_pkey PRIMARY KEY (role, tenant);


--
-- Name: migrations migrations_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (name);


--
-- Name: owners owners_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.owners
    ADD CONSTRAINT owners_pkey PRIMARY KEY (owner);


--
-- Name: problems problems_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.problems
    ADD CONSTRAINT problems_pkey PRIMARY KEY (at, partition, record_offset, topic_id);


--
-- Name: problems_20260223 problems_20260223_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.problems_20260223
    ADD CONSTRAINT problems_20260223_pkey PRIMARY KEY (at, partition, record_offset, topic_id);


--
-- Name: reconciliation reconciliation_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.reconciliation
    ADD CONSTRAINT reconciliation_pkey PRIMARY KEY (id);


--
-- Name: requests requests_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.requests
    ADD CONSTRAINT requests_pkey PRIMARY KEY (request_id, owner);


--
-- Name: restored restored_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.restored
    ADD CONSTRAINT restored_pkey PRIMARY KEY (id);


--
-- Name: retention retention_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.retention
    ADD CONSTRAINT retention_pkey PRIMARY KEY (id);


--
-- Name: roles roles_name_key; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.roles
    ADD CONSTRAINT roles_name_key UNIQUE (name);


--
-- Name: roles roles_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.roles
    ADD CONSTRAINT roles_pkey PRIMARY KEY (kind);


--
-- Name: runs runs_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (run_id, filed_on);


--
-- Name: runs_20260223 runs_20260223_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.runs_20260223
    ADD CONSTRAINT runs_20260223_pkey PRIMARY KEY (run_id, filed_on);


--
-- Name: sink_offsets sink_offsets_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.sink_offsets
    ADD CONSTRAINT sink_offsets_pkey PRIMARY KEY (topic, partition);


--
-- Name: stories stories_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.stories
    ADD CONSTRAINT stories_pkey PRIMARY KEY (run_id, filed_on);


--
-- Name: stories_20260223 stories_20260223_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.stories_20260223
    ADD CONSTRAINT stories_20260223_pkey PRIMARY KEY (run_id, filed_on);


--
-- Name: timeout_classes timeout_classes_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.timeout_classes
    ADD CONSTRAINT timeout_classes_pkey PRIMARY KEY (name);


--
-- Name: weeks weeks_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.weeks
    ADD CONSTRAINT weeks_pkey PRIMARY KEY (week);


--
-- Name: zones zones_pkey; Type: CONSTRAINT; Schema: tidemill; Owner: -
--

ALTER TABLE ONLY tidemill.zones
    ADD CONSTRAINT zones_pkey PRIMARY KEY (name);


--
-- Name: audit_log_by_owner; Type: INDEX; Schema: tidemill; Owner: -
--

CREATE INDEX audit_log_by_owner ON ONLY tidemill.audit_log USING btree (owner, at DESC);


--
-- Name: audit_log_20260223_owner_at_idx; Type: INDEX; Schema: tidemill; Owner: -
--

CREATE INDEX audit_log_20260223_owner_at_idx ON tidemill.audit_log_20260223 USING btree (owner, at DESC);


--
-- Name: definitions_by_time; Type: INDEX; Schema: tidemill; Owner: -
--

CREATE INDEX definitions_by_time ON tidemill.definitions USING btree (valid_from);


--
-- Name: fences_by_age; Type: INDEX; Schema: tidemill; Owner: -
--

CREATE INDEX fences_by_age ON tidemill.fences USING btree (passed_at);


--
-- Name: jobs_by_time; Type: INDEX; Schema: tidemill; Owner: -
--

CREATE INDEX jobs_by_time ON tidemill.jobs USING btree (updated_at);


--
-- Name: owners_by_tenant; Type: INDEX; Schema: tidemill; Owner: -
--

CREATE INDEX owners_by_tenant ON tidemill.owners USING btree (tenant);


--
-- Name: problems_by_owner; Type: INDEX; Schema: tidemill; Owner: -
--

CREATE INDEX problems_by_owner ON ONLY tidemill.problems USING btree (owner, at DESC);


--
-- Name: problems_20260223_owner_at_idx; Type: INDEX; Schema: tidemill; Owner: -
--

CREATE INDEX problems_20260223_owner_at_idx ON tidemill.problems_20260223 USING btree (owner, at DESC);


--
-- Name: requests_by_age; Type: INDEX; Schema: tidemill; Owner: -
--

CREATE INDEX requests_by_age ON tidemill.requests USING btree (created_at);


--
-- Name: runs_by_job; Type: INDEX; Schema: tidemill; Owner: -
--

CREATE INDEX runs_by_job ON ONLY tidemill.runs USING btree (job_id, nominal_time DESC, state, missed_to);


--
-- Name: runs_20260223_job_id_nominal_time_state_missed_to_idx; Type: INDEX; Schema: tidemill; Owner: -
--

CREATE INDEX runs_20260223_job_id_nominal_time_state_missed_to_idx ON tidemill.runs_20260223 USING btree (job_id, nominal_time DESC, state, missed_to);


--
-- Name: runs_of_runs; Type: INDEX; Schema: tidemill; Owner: -
--

CREATE INDEX runs_of_runs ON ONLY tidemill.runs USING btree (kind, nominal_time DESC, run_id, job_id) WHERE (kind = ANY (ARRAY['dag'::text, 'backfill'::text]));


--
-- Name: runs_20260223_kind_nominal_time_run_id_job_id_idx; Type: INDEX; Schema: tidemill; Owner: -
--

CREATE INDEX runs_20260223_kind_nominal_time_run_id_job_id_idx ON tidemill.runs_20260223 USING btree (kind, nominal_time DESC, run_id, job_id) WHERE (kind = ANY (ARRAY['dag'::text, 'backfill'::text]));


--
-- Name: runs_by_time; Type: INDEX; Schema: tidemill; Owner: -
--

CREATE INDEX runs_by_time ON ONLY tidemill.runs USING btree (nominal_time DESC, run_id);


--
-- Name: runs_20260223_nominal_time_run_id_idx; Type: INDEX; Schema: tidemill; Owner: -
--

CREATE INDEX runs_20260223_nominal_time_run_id_idx ON tidemill.runs_20260223 USING btree (nominal_time DESC, run_id);


--
-- Name: runs_by_reason; Type: INDEX; Schema: tidemill; Owner: -
--

CREATE INDEX runs_by_reason ON ONLY tidemill.runs USING btree (reason_code, nominal_time DESC, run_id, job_id) WHERE (reason_code IS NOT NULL);


--
-- Name: runs_20260223_reason_code_nominal_time_run_id_job_id_idx; Type: INDEX; Schema: tidemill; Owner: -
--

CREATE INDEX runs_20260223_reason_code_nominal_time_run_id_job_id_idx ON tidemill.runs_20260223 USING btree (reason_code, nominal_time DESC, run_id, job_id) WHERE (reason_code IS NOT NULL);


--
-- Name: runs_of_backfills; Type: INDEX; Schema: tidemill; Owner: -
--

CREATE INDEX runs_of_backfills ON ONLY tidemill.runs USING btree (request_id, state) WHERE (kind = ANY (ARRAY['backfilled'::text, 'dag'::text]));


--
-- Name: runs_20260223_request_id_state_idx; Type: INDEX; Schema: tidemill; Owner: -
--

CREATE INDEX runs_20260223_request_id_state_idx ON tidemill.runs_20260223 USING btree (request_id, state) WHERE (kind = ANY (ARRAY['backfilled'::text, 'dag'::text]));


--
-- Name: runs_by_state; Type: INDEX; Schema: tidemill; Owner: -
--

CREATE INDEX runs_by_state ON ONLY tidemill.runs USING btree (state, nominal_time DESC, run_id, job_id) WHERE (state <> 'succeeded'::text);


--
-- Name: runs_20260223_state_nominal_time_run_id_job_id_idx; Type: INDEX; Schema: tidemill; Owner: -
--

CREATE INDEX runs_20260223_state_nominal_time_run_id_job_id_idx ON tidemill.runs_20260223 USING btree (state, nominal_time DESC, run_id, job_id) WHERE (state <> 'succeeded'::text);


--
-- Name: stories_by_log; Type: INDEX; Schema: tidemill; Owner: -
--

CREATE INDEX stories_by_log ON ONLY tidemill.stories USING btree (oldest_log) WHERE (oldest_log IS NOT NULL);


--
-- Name: stories_20260223_oldest_log_idx; Type: INDEX; Schema: tidemill; Owner: -
--

CREATE INDEX stories_20260223_oldest_log_idx ON tidemill.stories_20260223 USING btree (oldest_log) WHERE (oldest_log IS NOT NULL);


--
-- Name: audit_log_20260223_owner_at_idx; Type: INDEX ATTACH; Schema: tidemill; Owner: -
--

ALTER INDEX tidemill.audit_log_by_owner ATTACH PARTITION tidemill.audit_log_20260223_owner_at_idx;


--
-- Name: audit_log_20260223_pkey; Type: INDEX ATTACH; Schema: tidemill; Owner: -
--

ALTER INDEX tidemill.audit_log_pkey ATTACH PARTITION tidemill.audit_log_20260223_pkey;


--
-- Name: problems_20260223_owner_at_idx; Type: INDEX ATTACH; Schema: tidemill; Owner: -
--

ALTER INDEX tidemill.problems_by_owner ATTACH PARTITION tidemill.problems_20260223_owner_at_idx;


--
-- Name: problems_20260223_pkey; Type: INDEX ATTACH; Schema: tidemill; Owner: -
--

ALTER INDEX tidemill.problems_pkey ATTACH PARTITION tidemill.problems_20260223_pkey;


--
-- Name: runs_20260223_job_id_nominal_time_state_missed_to_idx; Type: INDEX ATTACH; Schema: tidemill; Owner: -
--

ALTER INDEX tidemill.runs_by_job ATTACH PARTITION tidemill.runs_20260223_job_id_nominal_time_state_missed_to_idx;


--
-- Name: runs_20260223_kind_nominal_time_run_id_job_id_idx; Type: INDEX ATTACH; Schema: tidemill; Owner: -
--

ALTER INDEX tidemill.runs_of_runs ATTACH PARTITION tidemill.runs_20260223_kind_nominal_time_run_id_job_id_idx;


--
-- Name: runs_20260223_nominal_time_run_id_idx; Type: INDEX ATTACH; Schema: tidemill; Owner: -
--

ALTER INDEX tidemill.runs_by_time ATTACH PARTITION tidemill.runs_20260223_nominal_time_run_id_idx;


--
-- Name: runs_20260223_pkey; Type: INDEX ATTACH; Schema: tidemill; Owner: -
--

ALTER INDEX tidemill.runs_pkey ATTACH PARTITION tidemill.runs_20260223_pkey;


--
-- Name: runs_20260223_reason_code_nominal_time_run_id_job_id_idx; Type: INDEX ATTACH; Schema: tidemill; Owner: -
--

ALTER INDEX tidemill.runs_by_reason ATTACH PARTITION tidemill.runs_20260223_reason_code_nominal_time_run_id_job_id_idx;


--
-- Name: runs_20260223_request_id_state_idx; Type: INDEX ATTACH; Schema: tidemill; Owner: -
--

ALTER INDEX tidemill.runs_of_backfills ATTACH PARTITION tidemill.runs_20260223_request_id_state_idx;


--
-- Name: runs_20260223_state_nominal_time_run_id_job_id_idx; Type: INDEX ATTACH; Schema: tidemill; Owner: -
--

ALTER INDEX tidemill.runs_by_state ATTACH PARTITION tidemill.runs_20260223_state_nominal_time_run_id_job_id_idx;


--
-- Name: stories_20260223_oldest_log_idx; Type: INDEX ATTACH; Schema: tidemill; Owner: -
--

ALTER INDEX tidemill.stories_by_log ATTACH PARTITION tidemill.stories_20260223_oldest_log_idx;


--
-- Name: stories_20260223_pkey; Type: INDEX ATTACH; Schema: tidemill; Owner: -
--

ALTER INDEX tidemill.stories_pkey ATTACH PARTITION tidemill.stories_20260223_pkey;


--
-- Name: dag_nodes access; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER access BEFORE INSERT OR DELETE OR UPDATE ON tidemill.dag_nodes FOR EACH ROW EXECUTE FUNCTION tidemill.node_access();


--
-- Name: dags access; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER access BEFORE INSERT OR DELETE ON tidemill.dags FOR EACH ROW EXECUTE FUNCTION tidemill.dag_access();


--
-- Name: jobs access; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER access BEFORE INSERT OR DELETE ON tidemill.jobs FOR EACH ROW EXECUTE FUNCTION tidemill.job_access();


--
-- Name: requests access; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER access BEFORE INSERT ON tidemill.requests FOR EACH ROW EXECUTE FUNCTION tidemill.request_access();


--
-- Name: dags access_after; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER access_after AFTER INSERT OR DELETE OR UPDATE ON tidemill.dags FOR EACH ROW EXECUTE FUNCTION tidemill.access_after();


--
-- Name: jobs access_after; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER access_after AFTER INSERT OR DELETE OR UPDATE ON tidemill.jobs FOR EACH ROW EXECUTE FUNCTION tidemill.access_after();


--
-- Name: dags access_of_update; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER access_of_update BEFORE UPDATE ON tidemill.dags FOR EACH ROW WHEN ((old.* *<> new.*)) EXECUTE FUNCTION tidemill.dag_access();


--
-- Name: jobs access_of_update; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER access_of_update BEFORE UPDATE ON tidemill.jobs FOR EACH ROW WHEN ((old.* *<> new.*)) EXECUTE FUNCTION tidemill.job_access();


--
-- Name: dag_nodes audited; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER audited AFTER INSERT OR DELETE ON tidemill.dag_nodes FOR EACH ROW EXECUTE FUNCTION tidemill.audit_change('node');


--
-- Name: dags audited; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER audited AFTER INSERT OR DELETE ON tidemill.dags FOR EACH ROW EXECUTE FUNCTION tidemill.audit_change('dag');


--
-- Name: jobs audited; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER audited AFTER INSERT OR DELETE ON tidemill.jobs FOR EACH ROW EXECUTE FUNCTION tidemill.audit_change('job');


--
-- Name: members audited; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER audited AFTER INSERT OR DELETE ON tidemill.members FOR EACH ROW EXECUTE FUNCTION tidemill.audit_change('member');


--
-- Name: requests audited; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER audited AFTER INSERT ON tidemill.requests FOR EACH ROW EXECUTE FUNCTION tidemill.audit_change('request');


--
-- Name: dag_nodes audited_update; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER audited_update AFTER UPDATE ON tidemill.dag_nodes FOR EACH ROW WHEN ((old.* *<> new.*)) EXECUTE FUNCTION tidemill.audit_change('node');


--
-- Name: dags audited_update; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER audited_update AFTER UPDATE ON tidemill.dags FOR EACH ROW WHEN ((old.* *<> new.*)) EXECUTE FUNCTION tidemill.audit_change('dag');


--
-- Name: jobs audited_update; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER audited_update AFTER UPDATE ON tidemill.jobs FOR EACH ROW WHEN ((old.* *<> new.*)) EXECUTE FUNCTION tidemill.audit_change('job');


--
-- Name: members audited_update; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER audited_update AFTER UPDATE ON tidemill.members FOR EACH ROW WHEN ((old.* *<> new.*)) EXECUTE FUNCTION tidemill.audit_change('member');


--
-- Name: dags dag_after_change; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER dag_after_change AFTER INSERT OR DELETE OR UPDATE ON tidemill.dags FOR EACH ROW EXECUTE FUNCTION tidemill.dag_after_change();


--
-- Name: dags dag_before_change; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER dag_before_change BEFORE INSERT OR UPDATE ON tidemill.dags FOR EACH ROW EXECUTE FUNCTION tidemill.dag_before_change();


--
-- Name: dag_changes dag_changed; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE CONSTRAINT TRIGGER dag_changed AFTER INSERT ON tidemill.dag_changes DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tidemill.dag_changed();


--
-- Name: dag_nodes dag_nodes_a_names_no_sha256; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER dag_nodes_a_names_no_sha256 BEFORE UPDATE ON tidemill.dag_nodes FOR EACH STATEMENT EXECUTE FUNCTION tidemill.note_sha256('off');


--
-- Name: dag_nodes dag_nodes_b_names_sha256; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER dag_nodes_b_names_sha256 BEFORE UPDATE OF sha256 ON tidemill.dag_nodes FOR EACH STATEMENT EXECUTE FUNCTION tidemill.note_sha256('on');


--
-- Name: dag_nodes dag_nodes_no_truncate; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER dag_nodes_no_truncate BEFORE TRUNCATE ON tidemill.dag_nodes FOR EACH STATEMENT EXECUTE FUNCTION tidemill.refuse_statement('a DAG has at least one node; use delete');


--
-- Name: dags dags_no_truncate; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER dags_no_truncate BEFORE TRUNCATE ON tidemill.dags FOR EACH STATEMENT EXECUTE FUNCTION tidemill.refuse_statement('it would remove DAGs without recording their deletion; use delete from tidemill.dags');


--
-- Name: definitions definition_before_change; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER definition_before_change BEFORE DELETE OR UPDATE ON tidemill.definitions FOR EACH ROW EXECUTE FUNCTION tidemill.refuse_statement('it is the history; tidemill.prune_definitions(older_than) removes old versions');


--
-- Name: definitions definition_before_insert; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER definition_before_insert BEFORE INSERT ON tidemill.definitions FOR EACH ROW EXECUTE FUNCTION tidemill.definition_before_insert();


--
-- Name: definitions definitions_no_truncate; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER definitions_no_truncate BEFORE TRUNCATE ON tidemill.definitions FOR EACH STATEMENT EXECUTE FUNCTION tidemill.refuse_statement('it is the history; tidemill.prune_definitions(older_than) removes old versions');


--
-- Name: jobs job_after_change; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER job_after_change AFTER INSERT OR DELETE ON tidemill.jobs FOR EACH ROW EXECUTE FUNCTION tidemill.job_after_change();


--
-- Name: jobs job_after_update; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER job_after_update AFTER UPDATE ON tidemill.jobs FOR EACH ROW WHEN ((old.* *<> new.*)) EXECUTE FUNCTION tidemill.job_after_change();


--
-- Name: jobs job_before_insert; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER job_before_insert BEFORE INSERT ON tidemill.jobs FOR EACH ROW EXECUTE FUNCTION tidemill.job_before_change();


--
-- Name: jobs job_before_update; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER job_before_update BEFORE UPDATE ON tidemill.jobs FOR EACH ROW WHEN ((old.* *<> new.*)) EXECUTE FUNCTION tidemill.job_before_change();


--
-- Name: jobs jobs_a_names_no_sha256; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER jobs_a_names_no_sha256 BEFORE UPDATE ON tidemill.jobs FOR EACH STATEMENT EXECUTE FUNCTION tidemill.note_sha256('off');


--
-- Name: jobs jobs_b_names_sha256; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER jobs_b_names_sha256 BEFORE UPDATE OF sha256 ON tidemill.jobs FOR EACH STATEMENT EXECUTE FUNCTION tidemill.note_sha256('on');


--
-- Name: jobs jobs_no_truncate; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER jobs_no_truncate BEFORE TRUNCATE ON tidemill.jobs FOR EACH STATEMENT EXECUTE FUNCTION tidemill.refuse_statement('it would remove jobs without recording their deletion; use delete from tidemill.jobs');


--
-- Name: audit_log kept; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER kept BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON tidemill.audit_log FOR EACH STATEMENT WHEN (((pg_trigger_depth() = 0) AND (current_setting('tidemill.keeping'::text, true) IS DISTINCT FROM 'on'::text))) EXECUTE FUNCTION tidemill.refuse_statement('only a trigger writes it, and retention drops old weeks; nobody changes what was done');


--
-- Name: dag_changes kept; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER kept BEFORE DELETE OR UPDATE OR TRUNCATE ON tidemill.dag_changes FOR EACH STATEMENT WHEN (((pg_trigger_depth() = 0) AND (current_setting('tidemill.sink'::text, true) IS DISTINCT FROM 'on'::text) AND (current_setting('tidemill.keeping'::text, true) IS DISTINCT FROM 'on'::text))) EXECUTE FUNCTION tidemill.refuse_statement('it lists the DAGs that a transaction checks at commit; write to tidemill.dags and tidemill.dag_nodes');


--
-- Name: definitions_pruned kept; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER kept BEFORE DELETE OR UPDATE OR TRUNCATE ON tidemill.definitions_pruned FOR EACH STATEMENT WHEN (((pg_trigger_depth() = 0) AND (current_setting('tidemill.sink'::text, true) IS DISTINCT FROM 'on'::text) AND (current_setting('tidemill.keeping'::text, true) IS DISTINCT FROM 'on'::text))) EXECUTE FUNCTION tidemill.refuse_statement('tidemill.prune_definitions(older_than) records its progress here');


--
-- Name: deployment kept; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER kept BEFORE DELETE OR UPDATE OR TRUNCATE ON tidemill.deployment FOR EACH STATEMENT WHEN (((pg_trigger_depth() = 0) AND (current_setting('tidemill.sink'::text, true) IS DISTINCT FROM 'on'::text) AND (current_setting('tidemill.keeping'::text, true) IS DISTINCT FROM 'on'::text))) EXECUTE FUNCTION tidemill.refuse_statement('its name marks the objects of this deployment in the bucket; it must not change');


--
-- Name: fences kept; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER kept BEFORE DELETE OR TRUNCATE ON tidemill.fences FOR EACH STATEMENT WHEN (((pg_trigger_depth() = 0) AND (current_setting('tidemill.sink'::text, true) IS DISTINCT FROM 'on'::text) AND (current_setting('tidemill.keeping'::text, true) IS DISTINCT FROM 'on'::text))) EXECUTE FUNCTION tidemill.refuse_statement('an old attempt would pass its fence again; use tidemill.prune_fences(older_than), and after a loss of Kafka''s data see docs/fencing.md');


--
-- Name: heartbeat kept; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER kept BEFORE DELETE OR TRUNCATE ON tidemill.heartbeat FOR EACH STATEMENT WHEN (((pg_trigger_depth() = 0) AND (current_setting('tidemill.sink'::text, true) IS DISTINCT FROM 'on'::text) AND (current_setting('tidemill.keeping'::text, true) IS DISTINCT FROM 'on'::text))) EXECUTE FUNCTION tidemill.refuse_statement('pruning needs its one row, which the connector updates; do not remove it');


--
-- Name: migrations kept; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER kept BEFORE DELETE OR UPDATE OR TRUNCATE ON tidemill.migrations FOR EACH STATEMENT WHEN (((pg_trigger_depth() = 0) AND (current_setting('tidemill.sink'::text, true) IS DISTINCT FROM 'on'::text) AND (current_setting('tidemill.keeping'::text, true) IS DISTINCT FROM 'on'::text))) EXECUTE FUNCTION tidemill.refuse_statement('`tidemill migrate` writes it, and would apply a migration again if its row were missing');


--
-- Name: owners kept; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER kept BEFORE DELETE OR UPDATE OR TRUNCATE ON tidemill.owners FOR EACH STATEMENT WHEN (((pg_trigger_depth() = 0) AND (current_setting('tidemill.sink'::text, true) IS DISTINCT FROM 'on'::text) AND (current_setting('tidemill.keeping'::text, true) IS DISTINCT FROM 'on'::text))) EXECUTE FUNCTION tidemill.refuse_statement('only this table keeps the order of versions; tidemill.prune_definitions(older_than) removes unused rows');


--
-- Name: reconciliation kept; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER kept BEFORE DELETE OR UPDATE OR TRUNCATE ON tidemill.reconciliation FOR EACH STATEMENT WHEN (((pg_trigger_depth() = 0) AND (current_setting('tidemill.sink'::text, true) IS DISTINCT FROM 'on'::text) AND (current_setting('tidemill.keeping'::text, true) IS DISTINCT FROM 'on'::text))) EXECUTE FUNCTION tidemill.refuse_statement('the sinks write here how the streams compare with this database');


--
-- Name: restored kept; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER kept BEFORE DELETE OR UPDATE OR TRUNCATE ON tidemill.restored FOR EACH STATEMENT WHEN (((pg_trigger_depth() = 0) AND (current_setting('tidemill.sink'::text, true) IS DISTINCT FROM 'on'::text) AND (current_setting('tidemill.keeping'::text, true) IS DISTINCT FROM 'on'::text))) EXECUTE FUNCTION tidemill.refuse_statement('run `tidemill restored`, which heals the database and deletes the row');


--
-- Name: retention kept; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER kept BEFORE DELETE OR UPDATE OR TRUNCATE ON tidemill.retention FOR EACH STATEMENT WHEN (((pg_trigger_depth() = 0) AND (current_setting('tidemill.sink'::text, true) IS DISTINCT FROM 'on'::text) AND (current_setting('tidemill.keeping'::text, true) IS DISTINCT FROM 'on'::text))) EXECUTE FUNCTION tidemill.refuse_statement('only the sink writes it; use tidemill.prune(older_than) to drop old weeks');


--
-- Name: roles kept; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER kept BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON tidemill.roles FOR EACH STATEMENT WHEN (((pg_trigger_depth() = 0) AND (current_setting('tidemill.keeping'::text, true) IS DISTINCT FROM 'on'::text))) EXECUTE FUNCTION tidemill.refuse_statement('`tidemill migrate` writes it, and gives these roles their rights');


--
-- Name: sink_offsets kept; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER kept BEFORE DELETE OR UPDATE OR TRUNCATE ON tidemill.sink_offsets FOR EACH STATEMENT WHEN (((pg_trigger_depth() = 0) AND (current_setting('tidemill.sink'::text, true) IS DISTINCT FROM 'on'::text) AND (current_setting('tidemill.keeping'::text, true) IS DISTINCT FROM 'on'::text))) EXECUTE FUNCTION tidemill.refuse_statement('the sink keeps its offsets here; insert a row into tidemill.requests to run something again');


--
-- Name: timeout_classes kept; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER kept BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON tidemill.timeout_classes FOR EACH STATEMENT WHEN (((pg_trigger_depth() = 0) AND (current_setting('tidemill.sink'::text, true) IS DISTINCT FROM 'on'::text) AND (current_setting('tidemill.keeping'::text, true) IS DISTINCT FROM 'on'::text))) EXECUTE FUNCTION tidemill.refuse_statement('each class needs its own topic; `tidemill cluster set timeout_classes=...` changes classes and topics');


--
-- Name: weeks kept; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER kept BEFORE DELETE OR UPDATE OR TRUNCATE ON tidemill.weeks FOR EACH STATEMENT WHEN (((pg_trigger_depth() = 0) AND (current_setting('tidemill.sink'::text, true) IS DISTINCT FROM 'on'::text) AND (current_setting('tidemill.keeping'::text, true) IS DISTINCT FROM 'on'::text))) EXECUTE FUNCTION tidemill.refuse_statement('only the sink writes it; use tidemill.prune(older_than) to drop old weeks');


--
-- Name: zones kept; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER kept BEFORE DELETE OR UPDATE OR TRUNCATE ON tidemill.zones FOR EACH STATEMENT WHEN (((pg_trigger_depth() = 0) AND (current_setting('tidemill.sink'::text, true) IS DISTINCT FROM 'on'::text) AND (current_setting('tidemill.keeping'::text, true) IS DISTINCT FROM 'on'::text))) EXECUTE FUNCTION tidemill.refuse_statement('it lists the allowed time zones; `tidemill migrate` of a newer version adds new names');


--
-- Name: members member_before_change; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER member_before_change BEFORE INSERT OR UPDATE ON tidemill.members FOR EACH ROW EXECUTE FUNCTION tidemill.member_before_change();


--
-- Name: dag_nodes node_before_change; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER node_before_change BEFORE INSERT OR UPDATE ON tidemill.dag_nodes FOR EACH ROW EXECUTE FUNCTION tidemill.node_before_change();


--
-- Name: dag_nodes nodes_after_delete; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER nodes_after_delete AFTER DELETE ON tidemill.dag_nodes REFERENCING OLD TABLE AS before_it FOR EACH STATEMENT EXECUTE FUNCTION tidemill.nodes_after_change();


--
-- Name: dag_nodes nodes_after_insert; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER nodes_after_insert AFTER INSERT ON tidemill.dag_nodes REFERENCING NEW TABLE AS after_it FOR EACH STATEMENT EXECUTE FUNCTION tidemill.nodes_after_change();


--
-- Name: dag_nodes nodes_after_update; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER nodes_after_update AFTER UPDATE ON tidemill.dag_nodes REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it FOR EACH STATEMENT EXECUTE FUNCTION tidemill.nodes_after_change();


--
-- Name: owners owner_before_change; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER owner_before_change BEFORE INSERT OR UPDATE ON tidemill.owners FOR EACH ROW EXECUTE FUNCTION tidemill.owner_before_change();


--
-- Name: attempts read_model_no_change; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER read_model_no_change INSTEAD OF INSERT OR DELETE OR UPDATE ON tidemill.attempts FOR EACH ROW EXECUTE FUNCTION tidemill.refuse_statement('it shows what the sink has written; insert a row into tidemill.requests to run, cancel or mark');


--
-- Name: problems read_model_no_change; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER read_model_no_change BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON tidemill.problems FOR EACH STATEMENT WHEN ((current_setting('tidemill.sink'::text, true) IS DISTINCT FROM 'on'::text)) EXECUTE FUNCTION tidemill.refuse_statement('only the sink writes it, and a change has no effect on runs; insert a row into tidemill.requests to run, cancel or mark, and use tidemill.prune(older_than) to drop old weeks');


--
-- Name: runs read_model_no_change; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER read_model_no_change BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON tidemill.runs FOR EACH STATEMENT WHEN ((current_setting('tidemill.sink'::text, true) IS DISTINCT FROM 'on'::text)) EXECUTE FUNCTION tidemill.refuse_statement('only the sink writes it, and a change has no effect on runs; insert a row into tidemill.requests to run, cancel or mark, and use tidemill.prune(older_than) to drop old weeks');


--
-- Name: stories read_model_no_change; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER read_model_no_change BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON tidemill.stories FOR EACH STATEMENT WHEN ((current_setting('tidemill.sink'::text, true) IS DISTINCT FROM 'on'::text)) EXECUTE FUNCTION tidemill.refuse_statement('only the sink writes it, and a change has no effect on runs; insert a row into tidemill.requests to run, cancel or mark, and use tidemill.prune(older_than) to drop old weeks');


--
-- Name: transitions read_model_no_change; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER read_model_no_change INSTEAD OF INSERT OR DELETE OR UPDATE ON tidemill.transitions FOR EACH ROW EXECUTE FUNCTION tidemill.refuse_statement('it shows what the sink has written; insert a row into tidemill.requests to run, cancel or mark');


--
-- Name: requests request_before_change; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER request_before_change BEFORE DELETE OR UPDATE ON tidemill.requests FOR EACH ROW EXECUTE FUNCTION tidemill.refuse_statement('an accepted request never changes; tidemill.prune_requests(older_than) removes old requests');


--
-- Name: requests request_before_insert; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER request_before_insert BEFORE INSERT ON tidemill.requests FOR EACH ROW EXECUTE FUNCTION tidemill.request_before_insert();


--
-- Name: requests requests_no_truncate; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER requests_no_truncate BEFORE TRUNCATE ON tidemill.requests FOR EACH STATEMENT EXECUTE FUNCTION tidemill.refuse_statement('an accepted request never changes; tidemill.prune_requests(older_than) removes old requests');


--
-- Name: jobs tenant_after_change; Type: TRIGGER; Schema: tidemill; Owner: -
--

CREATE TRIGGER tenant_after_change AFTER UPDATE ON tidemill.jobs FOR EACH ROW WHEN ((old.tenant <> new.tenant)) EXECUTE FUNCTION tidemill.tenant_after_change();


--
-- Name: tidemill; Type: PUBLICATION; Schema: -; Owner: -
--

CREATE PUBLICATION tidemill WITH (publish = 'insert, update');


--
-- Name: tidemill definitions; Type: PUBLICATION TABLE; Schema: tidemill; Owner: -
--

ALTER PUBLICATION tidemill ADD TABLE ONLY tidemill.definitions;


--
-- Name: tidemill heartbeat; Type: PUBLICATION TABLE; Schema: tidemill; Owner: -
--

ALTER PUBLICATION tidemill ADD TABLE ONLY tidemill.heartbeat;


--
-- Name: tidemill requests; Type: PUBLICATION TABLE; Schema: tidemill; Owner: -
--

ALTER PUBLICATION tidemill ADD TABLE ONLY tidemill.requests;


--
-- PostgreSQL database dump complete
--


