-- History does not grow for ever: a day that is old enough is reduced to its failures, and later dropped as a whole.

create function tidemill.is_open(state text) returns bool
language sql immutable parallel safe
return state in ('queued', 'running', 'retry_wait', 'cancelling');

create function tidemill.is_failure(state text) returns bool
language sql immutable parallel safe
return state in ('failed', 'timed_out', 'dead', 'upstream_failed');

comment on function tidemill.is_failure is 'What is kept for failed_history_ttl: runs that ended as they should not have.';

create function tidemill.day_partitions() returns table (parent text, child text, day date)
language sql stable
begin atomic
    select parent.relname::text, child.relname::text, to_date(right(child.relname, 8), 'YYYYMMDD')
    from pg_inherits
    join pg_class as parent on parent.oid = inhparent
    join pg_class as child on child.oid = inhrelid
    where parent.relnamespace = 'tidemill'::regnamespace and parent.relkind = 'p'
        and parent.relname = any (tidemill.daily_tables());
end;

create function tidemill.begin_of(day date) returns timestamptz
language sql immutable parallel safe
return day::timestamp at time zone 'UTC';

-- What goes with a day is: all of it, or what is not a failure. A node goes no later than its DAG run, which is of that day.
create function tidemill.goes(run tidemill.runs, keep_failures bool) returns bool
language sql stable as $$
    select not (keep_failures and tidemill.is_failure(run.state) and (run.node_id is null or exists (
        select from tidemill.runs as dag_run
        where dag_run.run_id = split_part(run.run_id, '/', 1) and dag_run.nominal_time = run.nominal_time
            and tidemill.is_failure(dag_run.state))))
$$;

-- Changes with every change of what is kept of a day: a run is only ever written with a higher version.
create function tidemill.day_mark(day date) returns text
language sql stable as $$
    select format('%s runs, versions %s, %s problems', count(*), coalesce(sum(version), 0), (
        select count(*) from tidemill.problems where at >= tidemill.begin_of(day) and at < tidemill.begin_of(day + 1)
    ))
    from tidemill.runs
    where nominal_time >= tidemill.begin_of(day) and nominal_time < tidemill.begin_of(day + 1)
$$;

-- The sentence on a day that cannot go because a run of it is open; null: none is.
create function tidemill.open_on(day date) returns text
language sql stable as $$
    select format('%s stays as a whole: run %s', day, min((run_id || ' is ' || state) collate "C"))
        || case when count(*) > 1 then format(', and %s more of that day %s open',
            count(*) - 1, case count(*) when 2 then 'is' else 'are' end) else '' end
    from tidemill.runs
    where nominal_time >= tidemill.begin_of(day) and nominal_time < tidemill.begin_of(day + 1)
        and tidemill.is_open(state)
    having count(*) > 0
$$;

-- The days whose time is over: to be reduced to their failures, or (keep_failures is false) to be dropped, or the reason why
-- that cannot be. A day is as old as the youngest that happened on it, for a backfill runs what was due long ago. `mark` is
-- for `prune_day`: all of it is as of one moment.
create function tidemill.days_to_prune(history_ttl interval, failed_history_ttl interval)
returns table (day date, keep_failures bool, mark text, reason text)
language sql volatile as $$
    select
        each.day, found.last_at > clock_timestamp() - failed_history_ttl,
        tidemill.day_mark(each.day), tidemill.open_on(each.day)
    from (select distinct day from tidemill.day_partitions()) as each
    cross join lateral (
        select
            greatest(tidemill.begin_of(each.day + 1), max(greatest(finished_at, queued_at))) as last_at,
            coalesce(bool_or(tidemill.goes(run, true)), false) as has_others
        from tidemill.runs as run
        where nominal_time >= tidemill.begin_of(each.day) and nominal_time < tidemill.begin_of(each.day + 1)
    ) as found
    where tidemill.begin_of(each.day + 1) <= clock_timestamp() - history_ttl
        and found.last_at <= clock_timestamp() - history_ttl
        and (found.has_others or found.last_at <= clock_timestamp() - failed_history_ttl)
    order by each.day
$$;

-- Null once it is done; else a sentence on why the day stays for now. `mark` is what the day was when it was found due: what
-- was written since may be young, and is in no archive.
create function tidemill.prune_day(day date, keep_failures bool, mark text) returns text
language plpgsql set lock_timeout = '3s' as $$
declare
    children text[] := array(
        select known.child from tidemill.day_partitions() as known
        where known.day = prune_day.day order by array_position(tidemill.daily_tables(), known.parent));
    child text;
    is_open text;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        -- What was committed before the locks were there is seen by no other.
        return format('%s is only dropped in a transaction of isolation level read committed', day);
    end if;
    foreach child in array children loop
        -- Writers wait, readers do not yet.
        execute format('lock table tidemill.%I in share row exclusive mode', child);
    end loop;
    is_open := tidemill.open_on(day);
    if is_open is not null then
        return is_open;
    end if;
    if mark is distinct from tidemill.day_mark(day) then
        return format('%s was written to after it was found due', day);
    end if;
    if tidemill.has_logs(day, keep_failures) then
        return format('%s still has logs in S3', day);
    end if;
    if keep_failures then
        perform tidemill.keep_only('runs', day, 'not tidemill.goes(each, true)');
        perform tidemill.keep_only('attempts', day, 'exists (
            select from tidemill.runs as run where run.run_id = each.run_id and run.nominal_time = each.nominal_time)');
        perform tidemill.keep_only('transitions', day, 'exists (
            select from tidemill.runs as run where run.run_id = each.run_id and run.nominal_time = each.nominal_time)');
    else
        foreach child in array children loop
            execute format('drop table tidemill.%I', child);
        end loop;
    end if;
    return null;
end
$$;

create function tidemill.has_logs(day date, keep_failures bool) returns bool
language sql stable as $$
    select exists (
        select from tidemill.attempts as attempt
        join tidemill.runs as run using (run_id, nominal_time)
        where nominal_time >= tidemill.begin_of(day) and nominal_time < tidemill.begin_of(day + 1)
            and attempt.log_deleted_at is null
            and (attempt.log_uri is not null or (attempt.started_at is not null and attempt.output is null))
            and tidemill.goes(run, keep_failures)
    )
$$;

-- A partition is built anew from the rows that stay (few, of many) and takes the place of the old one, which is dropped:
-- nothing is deleted from. Where nothing stays there is no new one.
create function tidemill.keep_only(parent text, day date, condition text) returns void
language plpgsql as $$
declare
    child text := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
    kept text := child || '_kept';
    rows bigint;
begin
    if to_regclass('tidemill.' || child) is null then
        return;
    end if;
    execute format(
        'create table tidemill.%I (like tidemill.%I including defaults including constraints including indexes)',
        kept, parent);
    execute format('insert into tidemill.%I select each.* from tidemill.%I as each where %s', kept, child, condition);
    get diagnostics rows = row_count;
    execute format('drop table tidemill.%I', child);
    if rows = 0 then
        execute format('drop table tidemill.%I', kept);
        return;
    end if;
    execute format('alter table tidemill.%I rename to %I', kept, child);
    execute format(
        'alter table tidemill.%I attach partition tidemill.%I for values from (%L) to (%L)',
        parent, child, tidemill.begin_of(day), tidemill.begin_of(day + 1));
end
$$;

-- By hand, what the sinks do by themselves after the times to live; nothing is archived. It is one transaction, for which
-- readers wait from the first day that goes.
create function tidemill.prune(older_than interval) returns table (day date, reason text)
language plpgsql as $$
declare
    due record;
begin
    if older_than is null or older_than < interval '0' then
        perform tidemill.refuse(
            'older_than', older_than::text, 'it must be a duration such as 90 days, and not negative');
    end if;
    -- `connectors.retention.LOCK_KEY`.
    if not pg_try_advisory_xact_lock(1910374946) then
        raise exception using
            errcode = 'lock_not_available',
            message = 'a sink applies the times to live at this moment; try again when it is done';
    end if;
    for due in select * from tidemill.days_to_prune(older_than, older_than) loop
        day := due.day;
        reason := coalesce(due.reason, tidemill.prune_day(due.day, due.keep_failures, due.mark));
        return next;
    end loop;
end
$$;

comment on function tidemill.prune is
    'Drops history that is older than so much, failures too, by whole days; returns each day, and why it stays, if it does.';

create table tidemill.retention (
    id int not null primary key default 1 check (id = 1),
    began_at timestamptz not null,
    finished_at timestamptz,
    next_at timestamptz not null,
    failure text
);

comment on table tidemill.retention is 'One row: the last round of whoever applies the times to live, and when the next one is due.';
comment on column tidemill.retention.finished_at is 'Of the last round that did all there was to do.';
comment on column tidemill.retention.failure is 'What kept the last round from that; null: nothing did.';
