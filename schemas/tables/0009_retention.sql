-- Retention: a week that is old enough is reduced to its failures, and later dropped as a whole.

create function tidemill.is_open(state text) returns bool
language sql immutable parallel safe
return state in ('queued', 'running', 'retry_wait', 'cancelling');

create function tidemill.is_failure(state text) returns bool
language sql immutable parallel safe
return state in ('failed', 'timed_out', 'dead', 'upstream_failed');

comment on function tidemill.is_failure is
    'Whether a run of this state is kept for failed_history_ttl: failed, timed_out, dead or upstream_failed.';

create function tidemill.week_partitions() returns table (parent text, child text, week date)
language sql stable
begin atomic
    select parent.relname::text, child.relname::text, to_date(right(child.relname, 8), 'YYYYMMDD')
    from pg_inherits
    join pg_class as parent on parent.oid = inhparent
    join pg_class as child on child.oid = inhrelid
    where parent.relnamespace = 'tidemill'::regnamespace and parent.relkind = 'p'
        and parent.relname = any (tidemill.weekly_tables());
end;

create function tidemill.begin_of(day date) returns timestamptz
language sql immutable parallel safe
return day::timestamp at time zone 'UTC';

-- From when on the read model keeps every row, by the day on which it is filed: earlier weeks are dropped, or reduced to
-- their failures.
create function tidemill.kept_from() returns timestamptz
language sql stable
return (
    select tidemill.begin_of(
        coalesce(greatest(min(week), max(week) filter (where reduced is not null) + 7), date '1970-01-01'))
    from tidemill.weeks
);

comment on function tidemill.kept_from is 'From when on the read model keeps every row of tidemill.runs.';

-- Whether pruning the week removes the run: any run, or with keep_failures only a run that is not a failure. A node
-- does not stay longer than its DAG run, which is in the same week.
create function tidemill.goes(run tidemill.runs, keep_failures bool) returns bool
language sql stable as $$
    select not (keep_failures and tidemill.is_failure(run.state) and (run.node_id is null or exists (
        select from tidemill.runs as dag_run
        where dag_run.run_id = split_part(run.run_id, '/', 1) and dag_run.filed_on between
                tidemill.week_of(run.filed_on) and tidemill.week_of(run.filed_on) + 6
            and tidemill.is_failure(dag_run.state))))
$$;

-- The sentence that says which open run keeps the week from being pruned; null: no run is open.
create function tidemill.open_in(week date) returns text
language sql stable as $$
    select format('the week of %s is not pruned: run %s', week, min((run_id || ' is ' || state) collate "C"))
        || case when count(*) > 1 then format(', and %s more of that week %s open',
            count(*) - 1, case count(*) when 2 then 'is' else 'are' end) else '' end
    from tidemill.runs
    where filed_on >= week and filed_on < week + 7
        and state <> 'succeeded' and state in ('queued', 'running', 'retry_wait', 'cancelling')
    having count(*) > 0
$$;

-- The weeks that are old enough to be reduced to their failures, or to be dropped (keep_failures is false), and the
-- reason if that is not possible. A week's age counts from the latest event of its runs, because a run may have run
-- again later. `mark` is an argument of `prune_week`.
create function tidemill.weeks_to_prune(history_ttl interval, failed_history_ttl interval)
returns table (week date, keep_failures bool, mark bigint, reason text)
language sql volatile as $$
    select known.week, aged.last_at > aged.now - failed_history_ttl, known.written, tidemill.open_in(known.week)
    from tidemill.weeks as known
    cross join lateral (
        select clock_timestamp() as now, greatest(tidemill.begin_of(known.week + 7), known.last_at) as last_at
    ) as aged
    where aged.last_at <= aged.now - history_ttl
        and (known.reduced is distinct from known.written or aged.last_at <= aged.now - failed_history_ttl)
    order by known.week
$$;

-- Prunes the week and returns null, or returns a sentence on why the week stays for now. `mark` is the number of writes
-- when the week was found due: later writes may be young, and are in no archive. The sink updates the week's row before
-- it writes to the week, so this lock makes it wait.
create function tidemill.prune_week(week date, keep_failures bool, mark bigint) returns text
language plpgsql set lock_timeout = '3s' as $$
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

create function tidemill.has_logs(week date, keep_failures bool) returns bool
language sql stable as $$
    select exists (
        select from tidemill.stories as story
        join tidemill.runs as run using (run_id, filed_on)
        where filed_on >= week and filed_on < week + 7 and story.oldest_log is not null
            and tidemill.goes(run, keep_failures)
    )
$$;

-- Copies the few rows that stay into a new partition, which replaces the old one: dropping a table is cheaper than
-- deleting most of its rows.
create function tidemill.keep_only(parent text, week date, what text) returns void
language plpgsql as $$
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

-- For operators: prunes at once what the sinks prune after the retention times, and archives nothing. It is one
-- transaction, and readers wait for it from the first pruned week on.
create function tidemill.prune(older_than interval) returns table (week date, reason text)
language plpgsql as $$
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

comment on function tidemill.prune is
    'Drops whole weeks of history older than this duration, failures too; returns each week, and the reason if it '
    'stays.';

create table tidemill.retention (
    id int not null primary key default 1 check (id = 1),
    began_at timestamptz not null,
    finished_at timestamptz,
    next_at timestamptz not null,
    failure text
);

comment on table tidemill.retention is 'One row: the last round of retention by a sink, and when the next one is due.';
comment on column tidemill.retention.began_at is 'When the last round started.';
comment on column tidemill.retention.finished_at is 'When the last complete round ended.';
comment on column tidemill.retention.next_at is 'When the next round is due.';
comment on column tidemill.retention.failure is 'Why the last round did not complete; null: it did.';
