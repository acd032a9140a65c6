-- The table of jobs, which users write, and every version of the definitions, which the pipeline reads.

create table tidemill.jobs (
    job_id text not null primary key,
    tenant text not null default 'default',
    schedule text,
    timezone text not null default 'UTC',
    executable text not null,
    sha256 text,
    args jsonb not null default '[]',
    env jsonb not null default '{}',
    payload json,
    timeout interval,
    timeout_class text,
    promote bool not null default true,
    max_attempts int not null default 1,
    initial_interval interval not null default '1 s',
    backoff_coefficient float8 not null default 2.0,
    max_interval interval not null default '1 min',
    retry_jitter float8 not null default 0.1,
    non_retryable_exit_codes int[] not null default '{}',
    max_infra_retries int not null default 10,
    max_retry_duration interval,
    overlap_policy text not null default 'skip',
    buffer_limit int not null default 1000,
    concurrency_limit int,
    cancel_grace interval not null default '30 s',
    on_delete text not null default 'finish',
    catchup_policy text not null default 'latest',
    catchup_window interval not null default '24 h',
    catchup_after_pause text not null default 'skip',
    misfire_grace interval not null default '60 s',
    start_deadline interval,
    jitter interval not null default '0 s',
    dst_gap text not null default 'shift',
    dst_fold text,
    max_runs int,
    pause_on_failure int,
    resumed_at timestamptz,
    paused bool not null default false,
    paused_note text,
    starts_at timestamptz,
    ends_at timestamptz,
    sandbox text,
    memory bigint,
    disk bigint,
    cpu float8,
    pids int,
    network text,
    unveil text[] not null default '{}',
    version bigint not null,
    updated_at timestamptz not null
);

comment on table tidemill.jobs is
    'What runs, when and how. Insert, update and delete rows; each change takes effect when it commits.';
comment on column tidemill.jobs.job_id is 'Name of the job: 1 to 200 characters, unique among jobs and DAGs.';
comment on column tidemill.jobs.tenant is
    'Label for filtering jobs and runs; it does not change how they run. Default: default.';
comment on column tidemill.jobs.schedule is
    '5 cron fields, 6 with seconds first, @daily and similar, @every 90s, or @at <RFC 3339>; null: only requests '
    'start runs.';
comment on column tidemill.jobs.timezone is 'IANA time zone of the schedule, such as Europe/Berlin. Default: UTC.';
comment on column tidemill.jobs.executable is 's3://bucket/key of the program that a run starts.';
comment on column tidemill.jobs.sha256 is
    'Checksum of the executable; null: any content. A statement that sets another executable must set it too.';
comment on column tidemill.jobs.args is
    'Arguments of the process: a JSON array of strings, at most 32 KB. Default: [].';
comment on column tidemill.jobs.env is
    'Environment variables of the process: a JSON object of strings, at most 32 KB. Default: {}.';
comment on column tidemill.jobs.payload is
    'JSON of at most 256 KB that the process reads on standard input, byte for byte as written here. Default: null.';
comment on column tidemill.jobs.timeout is
    'The longest that an attempt may take; null: the limit of its timeout class.';
comment on column tidemill.jobs.timeout_class is
    'Timeout class in which a run starts; null: the shortest class that allows the timeout.';
comment on column tidemill.jobs.promote is
    'True: a run that reaches the limit of its class starts again in the next class. False: it is timed_out. '
    'Default: true.';
comment on column tidemill.jobs.max_attempts is
    'How many attempts of a run may fail or time out, 1 to 1000. Default: 1, so no retry.';
comment on column tidemill.jobs.initial_interval is 'Wait before the first retry. Default: 1 s.';
comment on column tidemill.jobs.backoff_coefficient is
    'Factor by which the wait grows with each retry, 1 to 100. Default: 2.';
comment on column tidemill.jobs.max_interval is 'Longest wait before a retry. Default: 1 min.';
comment on column tidemill.jobs.retry_jitter is 'Random share of the wait that is added to it, 0 to 1. Default: 0.1.';
comment on column tidemill.jobs.non_retryable_exit_codes is
    'Exit codes from 1 to 255 after which a run is not retried. Default: {}.';
comment on column tidemill.jobs.max_infra_retries is
    'How many attempts of a run may be lost or fail to start without counting in max_attempts, 0 to 1000. Default: 10.';
comment on column tidemill.jobs.max_retry_duration is
    'No attempt starts later than this after the first attempt; null: no limit of time.';
comment on column tidemill.jobs.overlap_policy is
    'What happens to an occurrence while a run of the job is open; see docs/policies.md. Default: skip.';
comment on column tidemill.jobs.buffer_limit is
    'How many occurrences may wait for open runs (buffer_all, or allow_all with a limit), 1 to 10000. Default: 1000.';
comment on column tidemill.jobs.concurrency_limit is
    'How many runs may be open at once with overlap_policy allow_all, 1 to 10000; null: no limit.';
comment on column tidemill.jobs.cancel_grace is 'Time from TERM to KILL when a process is cancelled. Default: 30 s.';
comment on column tidemill.jobs.on_delete is
    'What deleting the job does to its open runs: finish or cancel. Default: finish.';
comment on column tidemill.jobs.catchup_policy is
    'Which occurrences run that are later than misfire_grace: skip, latest or all. Default: latest.';
comment on column tidemill.jobs.catchup_window is
    'How far back catchup_policy and catchup_after_pause reach; older occurrences are missed. Default: 24 h.';
comment on column tidemill.jobs.catchup_after_pause is
    'Which occurrences of a pause run when it ends: skip, latest or all. Default: skip.';
comment on column tidemill.jobs.misfire_grace is
    'An occurrence that is at most this late runs as usual; catchup_policy decides later ones. Default: 60 s.';
comment on column tidemill.jobs.start_deadline is
    'An occurrence that has not started this long after its time is missed; null: it may start at any time.';
comment on column tidemill.jobs.jitter is
    'Each occurrence starts up to this much later, always by the same amount for the same time. Default: 0 s.';
comment on column tidemill.jobs.dst_gap is
    'An occurrence whose local time a clock change skips: shift moves it after the gap, skip drops it. Default: '
    'shift.';
comment on column tidemill.jobs.dst_fold is
    'A local time that a clock change repeats: first, second or both; null: first for fixed hours, both for '
    'wildcard hours.';
comment on column tidemill.jobs.max_runs is
    'This many occurrences become runs, and no more; requests do not count. Null: no limit.';
comment on column tidemill.jobs.pause_on_failure is
    'After this many consecutive runs that failed, occurrences are skipped until the row changes; null: never.';
comment on column tidemill.jobs.resumed_at is
    'Set it to now() to resume a job that pause_on_failure stopped; any other change resumes it too.';
comment on column tidemill.jobs.paused is 'True: occurrences are skipped; requests still run. Default: false.';
comment on column tidemill.jobs.paused_note is
    'Why it is paused, at most 1000 characters; shown with the skipped occurrences.';
comment on column tidemill.jobs.starts_at is 'Occurrences before this time do not exist; null: no limit.';
comment on column tidemill.jobs.ends_at is 'Occurrences at or after this time do not exist; null: no limit.';
comment on column tidemill.jobs.sandbox is
    'How much its attempts are isolated: basic or strict; null: as the executor does by default. See docs/jobs.md.';
comment on column tidemill.jobs.memory is
    'The most memory of an attempt, in bytes, from 1 MB (1048576); null: no limit.';
comment on column tidemill.jobs.disk is
    'The most that an attempt writes into its working directory, in bytes, from 1 MB (1048576); null: no limit.';
comment on column tidemill.jobs.cpu is 'The most cores that an attempt uses, such as 0.5; null: no limit.';
comment on column tidemill.jobs.pids is
    'The most processes and threads of an attempt at the same time; null: no limit.';
comment on column tidemill.jobs.network is
    'Whether an attempt has a network: any or none; null: any, and none in the sandbox strict.';
comment on column tidemill.jobs.unveil is
    'Paths that an attempt may use besides its own: r:/srv/www, rw:/srv/in or rx:/opt/tool. Executors must allow '
    'them. Default: {}.';
comment on column tidemill.jobs.version is 'Set by trigger: the version of this row in tidemill.definitions.';
comment on column tidemill.jobs.updated_at is 'Set by trigger: when the row last changed.';

create table tidemill.definitions (
    owner text not null,
    kind text not null,
    version bigint not null,
    valid_from timestamptz not null,
    deleted bool not null,
    spec json,
    primary key (owner, kind, version),
    check (deleted = (spec is null))
);

-- For readers that ask what changed since a time.
create index definitions_by_time on tidemill.definitions (valid_from);
create index jobs_by_time on tidemill.jobs (updated_at);

comment on table tidemill.definitions is
    'Every version of every job and DAG. Triggers append to it, and Debezium reads it.';
comment on column tidemill.definitions.owner is 'The job_id or dag_id.';
comment on column tidemill.definitions.kind is 'job or dag.';
comment on column tidemill.definitions.version is 'Grows with every change of any job or DAG.';
comment on column tidemill.definitions.valid_from is 'When the change was written.';
comment on column tidemill.definitions.deleted is 'Whether this version deletes the job or DAG.';
comment on column tidemill.definitions.spec is 'The job or DAG as JSON; null if deleted.';

-- An owner's versions must have the order in which its changes commit (protocol I2). An update or a deletion holds the
-- lock of the job's row when it takes its version. An insert has no row to lock: it takes its version before it waits
-- for a deletion that commits first. So inserts and deletions lock a row of this table, which stays, and an insert that
-- finds a later version there takes a new one. Every statement locks the job's own row first; two statements with
-- different orders would deadlock. Jobs and DAGs share the table, because they share one name space of ids.
create table tidemill.owners (
    owner text not null primary key,
    version bigint not null
);

-- One sequence for all, without a cache: a session would use its cached numbers after other sessions used higher ones.
create sequence tidemill.definition_version as bigint cache 1;

-- Locks the owner's row and returns its version: `taken`, or a new one if `taken` is null or lower than the stored one.
create function tidemill.locked_version(of_owner text, taken bigint default null) returns bigint
language sql volatile as $$
    insert into tidemill.owners as known (owner, version)
    values (of_owner, coalesce(taken, nextval('tidemill.definition_version')))
    -- Not excluded.version: it may have been taken before the wait for the lock.
    on conflict (owner) do update set version =
        case when taken > known.version then taken else nextval('tidemill.definition_version') end
    returning version
$$;

create function tidemill.wire_duration(value interval) returns text
language sql immutable parallel safe
return 'PT' || trim_scale(extract(epoch from value))::text || 'S';

create function tidemill.wire_instant(value timestamptz) returns text
language sql immutable strict parallel safe
return to_char(value at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');

-- The fields of `schemas.job.JobSpec`: durations as ISO 8601 seconds, instants as RFC 3339 in UTC, nulls left out.
create function tidemill.job_spec(job tidemill.jobs) returns json
language sql immutable parallel safe
return tidemill.spec_with(jsonb_strip_nulls(jsonb_build_object(
        'job_id', job.job_id,
        'tenant', job.tenant,
        'schedule', job.schedule,
        'timezone', job.timezone,
        'executable', job.executable,
        'sha256', job.sha256,
        'timeout', tidemill.wire_duration(job.timeout),
        'timeout_class', job.timeout_class,
        'promote', job.promote,
        'max_attempts', job.max_attempts,
        'initial_interval', tidemill.wire_duration(job.initial_interval),
        'backoff_coefficient', job.backoff_coefficient,
        'max_interval', tidemill.wire_duration(job.max_interval),
        'retry_jitter', job.retry_jitter,
        'non_retryable_exit_codes', to_jsonb(job.non_retryable_exit_codes),
        'max_infra_retries', job.max_infra_retries,
        'max_retry_duration', tidemill.wire_duration(job.max_retry_duration),
        'overlap_policy', job.overlap_policy,
        'buffer_limit', job.buffer_limit,
        'concurrency_limit', job.concurrency_limit,
        'cancel_grace', tidemill.wire_duration(job.cancel_grace),
        'on_delete', job.on_delete,
        'catchup_policy', job.catchup_policy,
        'catchup_window', tidemill.wire_duration(job.catchup_window),
        'catchup_after_pause', job.catchup_after_pause,
        'misfire_grace', tidemill.wire_duration(job.misfire_grace),
        'start_deadline', tidemill.wire_duration(job.start_deadline),
        'jitter', tidemill.wire_duration(job.jitter),
        'dst_gap', job.dst_gap,
        'dst_fold', job.dst_fold,
        'max_runs', job.max_runs,
        'pause_on_failure', job.pause_on_failure,
        'resumed_at', tidemill.wire_instant(job.resumed_at),
        'paused', job.paused,
        'paused_note', job.paused_note,
        'starts_at', tidemill.wire_instant(job.starts_at),
        'ends_at', tidemill.wire_instant(job.ends_at),
        'sandbox', job.sandbox,
        'memory', job.memory,
        'disk', job.disk,
        'cpu', job.cpu,
        'pids', job.pids,
        'network', job.network,
        'unveil', to_jsonb(nullif(job.unveil, '{}'))
    ))
    || jsonb_build_object('args', job.args, 'env', job.env), 'payload', job.payload);

-- The checks of the columns that jobs and dags share: the schedule and its policies. Several checks form one statement,
-- because a statement costs more than a check.
create function tidemill.check_schedule_columns(planned anyelement) returns void
language plpgsql stable as $$
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

-- The checks of the columns that jobs and dag_nodes share: the process and its retries.
create function tidemill.check_process_columns(process anyelement) returns void
language plpgsql stable as $$
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

-- A statement that changes the executable must set sha256 too. Otherwise the old checksum stays, and an executor that
-- still has the old program in its cache would run it. A statement that sets sha256 may set the same value, because it
-- may move the same program. A row trigger does not know which columns a statement sets; a trigger for one column does.
create function tidemill.note_sha256() returns trigger
language plpgsql as $$
begin
    perform set_config('tidemill.sha256_named', tg_argv[0], true);
    return null;
end
$$;

create function tidemill.check_pinned(old_executable text, new_executable text, old_sha256 text, new_sha256 text) returns void
language plpgsql stable as $$
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

create function tidemill.check_job(job tidemill.jobs) returns void
language plpgsql stable as $$
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

-- Accepts the names that Kubernetes uses for three of the policies.
create function tidemill.normal_overlap_policy(word text) returns text
language sql immutable parallel safe
return case lower(word)
    when 'allow' then 'allow_all'
    when 'forbid' then 'skip'
    when 'replace' then 'cancel_other'
    else word
end;

create function tidemill.normal_job(job tidemill.jobs) returns tidemill.jobs
language plpgsql immutable as $$
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

create function tidemill.job_before_change() returns trigger
language plpgsql as $$
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

create function tidemill.renumber_job(job tidemill.jobs) returns void
language plpgsql volatile as $$
begin
    perform set_config('tidemill.numbering', 'on', true);
    update tidemill.jobs set version = job.version where job_id = job.job_id;
    perform set_config('tidemill.numbering', 'off', true);
end
$$;

-- Returns a job that is new, or has a new id, with the version that it keeps.
create function tidemill.numbered_job(job tidemill.jobs) returns tidemill.jobs
language plpgsql volatile as $$
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

-- valid_from is clock_timestamp(), not now(): now() is the start of the transaction, and a job inserted at the end of
-- an hour of work would at once have an hour of missed occurrences (protocol O7). The commit comes even later, so an
-- owner never decides again what its watermark has passed.
create function tidemill.job_after_change() returns trigger
language plpgsql as $$
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

create trigger jobs_a_names_no_sha256 before update on tidemill.jobs
for each statement execute function tidemill.note_sha256('off');

-- It fires after the trigger above: triggers fire in the order of their names.
create trigger jobs_b_names_sha256 before update of sha256 on tidemill.jobs
for each statement execute function tidemill.note_sha256('on');

create trigger job_before_insert before insert on tidemill.jobs
for each row execute function tidemill.job_before_change();

-- An unchanged row is skipped, because tools write whole crontabs again and again.
create trigger job_before_update before update on tidemill.jobs
for each row when (old.* *<> new.*) execute function tidemill.job_before_change();

create trigger job_after_change after insert or delete on tidemill.jobs
for each row execute function tidemill.job_after_change();

create trigger job_after_update after update on tidemill.jobs
for each row when (old.* *<> new.*) execute function tidemill.job_after_change();

create trigger jobs_no_truncate before truncate on tidemill.jobs
for each statement execute function tidemill.refuse_statement(
    'it would remove jobs without recording their deletion; use delete from tidemill.jobs');

create function tidemill.definition_before_insert() returns trigger
language plpgsql as $$
begin
    if pg_trigger_depth() = 1 and current_setting('tidemill.healing', true) is distinct from 'on' then
        raise exception using
            errcode = 'check_violation',
            message = 'INSERT into tidemill.definitions is refused: triggers append to it; write to tidemill.jobs or tidemill.dags';
    end if;
    return new;
end
$$;

create trigger definition_before_insert before insert on tidemill.definitions
for each row execute function tidemill.definition_before_insert();

create trigger definition_before_change before update or delete on tidemill.definitions
for each row execute function tidemill.refuse_statement(
    'it is the history; tidemill.prune_definitions(older_than) removes old versions');

create trigger definitions_no_truncate before truncate on tidemill.definitions
for each statement execute function tidemill.refuse_statement(
    'it is the history; tidemill.prune_definitions(older_than) removes old versions');

-- Replaced versions before this time are already removed, so a round with nothing to do reads no definitions.
create table tidemill.definitions_pruned (
    id int not null primary key default 1 check (id = 1),
    until timestamptz not null default '-infinity'
);

insert into tidemill.definitions_pruned default values;

-- Removes replaced versions that are older than `older_than`, and deletions. An owner's newest version stays unless it
-- is a deletion.
create function tidemill.prune_definitions(older_than interval) returns bigint
language plpgsql as $$
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
