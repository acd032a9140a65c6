-- The deployment: the timeout classes that have a topic, its name, and whether the database was restored from a backup.

-- The allowed values of timeout_class. `tidemill cluster set timeout_classes=…` writes them after it has made the
-- topics.
create table tidemill.timeout_classes (
    name text not null primary key
);

insert into tidemill.timeout_classes (name) values ('10s'), ('1m'), ('1h');

comment on table tidemill.timeout_classes is
    'The timeout classes that jobs and nodes may name; `tidemill cluster set timeout_classes=...` changes them '
    'everywhere.';

-- The names, the shortest class first.
create function tidemill.timeout_classes_in_order() returns text
language sql stable as $$
    select string_agg(name, ', ' order by replace(replace(replace(name, 's', ' s'), 'm', ' min'), 'h', ' h')::interval)
    from tidemill.timeout_classes
$$;

create function tidemill.class_users(kept text[]) returns setof text
language sql stable as $$
    select format('job "%s" (%s)', job_id, timeout_class) from tidemill.jobs where timeout_class <> all (kept)
    union all
    select format('node "%s" of DAG "%s" (%s)', node_id, dag_id, timeout_class)
    from tidemill.dag_nodes where timeout_class <> all (kept)
$$;

-- Sets the list of classes. The lock makes writers of jobs wait until this transaction ends; then the new list applies.
create function tidemill.allow_classes(names text[]) returns void
language plpgsql volatile as $$
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

-- The name of this deployment, because several deployments may share one bucket.
create table tidemill.deployment (
    id int not null primary key default 1 check (id = 1),
    name uuid not null default gen_random_uuid()
);

insert into tidemill.deployment default values;

comment on table tidemill.deployment is 'One row: the name with which this deployment marks the S3 bucket.';

-- Has a row while this database is a restored backup whose versions are not healed. A sink inserts it, and
-- `tidemill restored` heals the versions and deletes it.
create table tidemill.restored (
    id int not null primary key default 1 check (id = 1),
    noticed_at timestamptz not null default clock_timestamp(),
    given bigint not null,
    applied bigint not null
);

comment on table tidemill.restored is
    'Has a row while changes have no effect because the database was restored from a backup; run `tidemill restored`.';
comment on column tidemill.restored.noticed_at is 'When a sink noticed it.';
comment on column tidemill.restored.given is 'The highest version that this database had given then.';
comment on column tidemill.restored.applied is 'The highest version that the streams had applied then.';

-- Writes a problem of the definitions; `number` tells it from others with its code.
create function tidemill.note_alert(code text, number bigint, reason text) returns void
language plpgsql volatile as $$
begin
    perform tidemill.make_week((clock_timestamp() at time zone 'UTC')::date);
    insert into tidemill.problems (at, partition, record_offset, topic_id, source_topic, kind, code, reason)
    values (clock_timestamp(), -1, number, '', 'definitions', 'alert', note_alert.code, note_alert.reason);
end
$$;

-- `applied` is the highest version that the streams have applied: a database that has not given it yet was restored.
create function tidemill.note_restore(applied bigint) returns bool
language plpgsql volatile as $$
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

-- Gives every job and DAG a new version, higher than all versions that the streams have applied.
create function tidemill.write_anew(applied bigint) returns table (jobs bigint, dags bigint)
language plpgsql volatile as $$
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

-- Writes deletions of the jobs and DAGs that only the streams know, and returns their number. Call it after
-- `write_anew`, in its transaction.
create function tidemill.delete_unknown(known_owners text[], known_kinds text[]) returns bigint
language plpgsql volatile as $$
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

-- The last comparison of the definitions with what the streams hold. The sinks compare, and write this.
create table tidemill.reconciliation (
    id int not null primary key default 1 check (id = 1),
    compared_at timestamptz,
    differing bigint not null default 0,
    differing_since timestamptz,
    refusal text,
    healed bigint not null default 0,
    healed_at timestamptz
);

insert into tidemill.reconciliation default values;

comment on table tidemill.reconciliation is
    'One row: whether the streams hold the jobs and DAGs of this database. The sinks compare them and write it.';
comment on column tidemill.reconciliation.compared_at is 'When a sink last compared them.';
comment on column tidemill.reconciliation.differing is 'How many jobs and DAGs differ.';
comment on column tidemill.reconciliation.differing_since is 'Since when some differ; null: none does.';
comment on column tidemill.reconciliation.refusal is 'Why the sinks do not heal the difference; null: they do.';
comment on column tidemill.reconciliation.healed is 'How many versions and deletions the sinks have appended again.';
comment on column tidemill.reconciliation.healed_at is 'When they last did.';

-- `refusal`: why the difference is not healed. The first one is a problem, numbered by `number` (null: it is none).
create function tidemill.note_comparison(differing bigint, refusal text, number bigint) returns void
language plpgsql volatile as $$
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

-- Counts what was healed, and writes a problem that says so.
create function tidemill.note_healing(healed bigint, version bigint, reason text) returns void
language plpgsql volatile as $$
begin
    update tidemill.reconciliation as known
    set healed = known.healed + note_healing.healed, healed_at = clock_timestamp();
    perform tidemill.note_alert('definitions_healed', version, reason);
end
$$;

-- Appends a new version of each of these jobs and DAGs that still has this version, and returns the new versions. It
-- skips a row that a user is changing: that change is a new version. It gives up a lock before Postgres looks for a
-- deadlock (1 s), so that no user's transaction is cancelled for it.
create function tidemill.append_again(wanted_owners text[], wanted_versions bigint[]) returns setof bigint
language plpgsql volatile set lock_timeout = '500ms' as $$
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

-- Appends a deletion of each of these owners that has no row, and returns the versions. It looks for the row with the
-- owner's lock held: a user who inserts the job meanwhile waits, and gets a newer version.
create function tidemill.append_deletions(gone_owners text[], gone_kinds text[]) returns setof bigint
language plpgsql volatile set lock_timeout = '500ms' as $$
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
