-- What the sink writes and everybody reads: runs, their attempts and transitions, and problems. A run has its place in the
-- partition of the week in which it was filed (decision 20).

create table tidemill.runs (
    run_id text not null,
    job_id text not null,
    dag_id text,
    node_id text,
    tenant text not null,
    kind text not null,
    nominal_time timestamptz not null,
    scheduled_time timestamptz not null,
    state text not null,
    reason text,
    reason_code text,
    blocked_by text,
    attempt int not null,
    timeout_class text,
    executor_id text,
    queued_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    exit_code int,
    log_uri text,
    request_id text,
    rerun_id text,
    missed_from timestamptz,
    missed_to timestamptz,
    missed_count bigint,
    missed_at_least bool,
    nodes jsonb,
    dag_version bigint,
    result json,
    result_bytes int,
    result_uri text,
    result_sha256 text,
    next_nodes jsonb,
    first_started_at timestamptz,
    version bigint not null,
    filed_on date not null default (clock_timestamp() at time zone 'UTC')::date,
    primary key (run_id, filed_on)
) partition by range (filed_on);

comment on table tidemill.runs is
    'One row a run, or a range of occurrences that did not run (missed_*). Written by the sink alone.';
comment on column tidemill.runs.nominal_time is 'What the schedule says: the identity of the run.';
comment on column tidemill.runs.reason is 'Why, for people; programs go by reason_code.';
comment on column tidemill.runs.reason_code is 'Why, as one of the words of docs/reasons.md.';
comment on column tidemill.runs.blocked_by is 'Of an occurrence that was skipped: the run that was in its way.';
comment on column tidemill.runs.first_started_at is 'When the first of its attempts started; started_at is of the last.';
comment on column tidemill.runs.filed_on is
    'The day (UTC) on which the run first became known; its week is the partition that it stays in, whatever its nominal time.';
comment on column tidemill.runs.scheduled_time is 'nominal_time plus jitter.';
comment on column tidemill.runs.rerun_id is 'The request that had it run again, the last one.';
comment on column tidemill.runs.missed_at_least is 'The count stopped at its limit: there may be more.';
comment on column tidemill.runs.nodes is
    'Of a DAG run: how many of its nodes are in which state; those that wait for others are in none.';
comment on column tidemill.runs.result is
    'What the run wrote to $TIDEMILL_RESULT; null as well if it is larger than 256 KB: then it is at result_uri alone.';
comment on column tidemill.runs.result_bytes is 'Of the JSON without white space; null: the run wrote none.';
comment on column tidemill.runs.next_nodes is
    'Of a node that chose: which of those that depend on it are followed; to the others it counts as skipped.';
comment on column tidemill.runs.dag_version is
    'Of a DAG run that has opened: the version in tidemill.definitions that it goes by.';

-- What an order about the nodes of a DAG run says of one: field for field `schemas.request.NodeEnd`. A result that has an
-- address goes by it.
create function tidemill.node_end(node tidemill.runs) returns json
language sql immutable parallel safe
return tidemill.spec_with(
    jsonb_build_object('state', node.state, 'attempt', node.attempt)
        || case when node.next_nodes is null then '{}' else jsonb_build_object('next_nodes', node.next_nodes) end,
    'result',
    case
        when node.result_bytes is null then null
        when node.result_uri is null then
            tidemill.spec_with(jsonb_build_object('bytes', node.result_bytes), 'value', node.result)
        else
            json_build_object('bytes', node.result_bytes, 'uri', node.result_uri, 'sha256', node.result_sha256)
    end);

-- Each query locks every index of every partition that it looks into, so there are few of them. The columns behind the time
-- are for conditions: an entry that does not fit costs no look at its row.
create index runs_by_job on tidemill.runs (job_id, nominal_time desc, state, missed_to);
create index runs_by_time on tidemill.runs (nominal_time desc, run_id);
-- Most runs have succeeded; all others are few and looked for by state.
create index runs_by_state on tidemill.runs (state, nominal_time desc, run_id, job_id) where state <> 'succeeded';
-- What succeeded has no reason.
create index runs_by_reason on tidemill.runs (reason_code, nominal_time desc, run_id, job_id) where reason_code is not null;
-- A DAG run has up to 10,000 neighbours that are runs of its nodes.
create index runs_of_runs on tidemill.runs (kind, nominal_time desc, run_id, job_id) where kind in ('dag', 'backfill');
create index runs_of_backfills on tidemill.runs (request_id, state) where kind in ('backfilled', 'dag');

-- A view: so a DAG run is pruned, kept and archived with its week, and with the runs of its nodes, which are filed with it.
create view tidemill.dag_runs as
select
    run_id, job_id as dag_id, dag_version, tenant, nominal_time, scheduled_time, state, reason, reason_code, nodes, queued_at,
    started_at, finished_at, request_id, rerun_id, missed_from, missed_to, missed_count, missed_at_least, version
from tidemill.runs
where kind = 'dag';

comment on view tidemill.dag_runs is
    'One row an epoch of a DAG. Its nodes are the rows of tidemill.runs with the run id <run_id>/<node_id>.';

create type tidemill.attempt as (
    attempt int,
    token bigint,
    timeout_class text,
    dispatched_at timestamptz,
    executor_id text,
    claimed_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    ended_as text,
    exit_code int,
    reason text,
    reason_code text,
    sha256 text,
    output text,
    output_bytes bigint,
    log_uri text,
    log_deleted_at timestamptz
);

create type tidemill.transition as (
    version bigint,
    at timestamptz,
    state text,
    attempt int,
    reason text,
    reason_code text
);

-- When the oldest attempt was dispatched that has a log in S3, or may have: one that never reported may have written some.
create function tidemill.oldest_log(attempts tidemill.attempt[]) returns timestamptz
language sql immutable parallel safe
return (
    select min(dispatched_at)
    from unnest(attempts)
    where log_deleted_at is null and (log_uri is not null or (started_at is not null and output is null))
);

-- What happened to a run, as one row: it is written and read as a whole.
create table tidemill.stories (
    run_id text not null,
    filed_on date not null,
    nominal_time timestamptz not null,
    job_id text not null,
    attempts tidemill.attempt[] not null,
    transitions tidemill.transition[] not null,
    oldest_log timestamptz generated always as (tidemill.oldest_log(attempts)) stored,
    primary key (run_id, filed_on)
) partition by range (filed_on);

comment on table tidemill.stories is 'What tidemill.attempts and tidemill.transitions show, one row a run.';

create index stories_by_log on tidemill.stories (oldest_log) where oldest_log is not null;

create view tidemill.attempts as
select
    story.run_id, story.nominal_time, story.job_id, each.attempt, each.token, each.timeout_class, each.dispatched_at,
    each.executor_id, each.claimed_at, each.started_at, each.finished_at, each.ended_as, each.exit_code, each.reason,
    each.reason_code, each.sha256, each.output, each.output_bytes, each.log_uri, each.log_deleted_at, story.filed_on
from tidemill.stories as story
cross join lateral unnest(story.attempts) as each;

comment on column tidemill.attempts.ended_as is
    'How it ended: succeeded, failed, timed_out, promoted, lost, cancelled, rejected, expired; null: it has not.';
comment on column tidemill.attempts.sha256 is 'Of the executable that ran.';
comment on column tidemill.attempts.log_deleted_at is
    'Its log was too old to keep; what is in output stays as long as the row.';

create view tidemill.transitions as
select
    story.run_id, story.nominal_time, story.job_id, each.version, each.at, each.state, each.attempt, each.reason,
    each.reason_code, story.filed_on
from tidemill.stories as story
cross join lateral unnest(story.transitions) as each;

-- What people have to know: a record of the topic `deadletter`, under its own place in that topic. It is an input that was
-- set aside, or an alert.
create table tidemill.problems (
    at timestamptz not null,
    partition int not null,
    record_offset bigint not null,
    topic_id text not null,
    source_topic text,
    source_partition int,
    source_offset bigint,
    owner text,
    kind text not null,
    code text not null,
    reason text not null,
    request_id text,
    run_id text,
    record text,
    primary key (at, partition, record_offset, topic_id)
) partition by range (at);

comment on column tidemill.problems.kind is 'dead_letter: an input that had no effect; alert: no input is to blame.';
comment on column tidemill.problems.code is 'What is wrong, as one of the words of docs/reasons.md.';
comment on column tidemill.problems.request_id is 'Of a request that was refused.';
comment on column tidemill.problems.run_id is 'Of the run that an alert is about.';
comment on column tidemill.problems.record is 'The beginning of the record, as text.';

create index problems_by_owner on tidemill.problems (owner, at desc);

-- The next offset of each partition, written in the transaction that writes the rows, and only if it still is what the
-- writer believes (compare and set): a sink that is no longer the owner of a partition changes nothing (protocol S1).
create table tidemill.sink_offsets (
    topic text not null,
    partition int not null,
    topic_id text not null,
    next_offset bigint not null,
    primary key (topic, partition)
);

-- The tables that have a partition a week.
create function tidemill.weekly_tables() returns text[]
language sql immutable parallel safe
return array['problems', 'runs', 'stories'];

create function tidemill.week_of(day date) returns date
language sql immutable parallel safe
return day - (extract(isodow from day)::int - 1);

-- What is known of a week without a look at its partitions. The sink changes the row before it writes to the week, so who
-- holds it holds the week.
create table tidemill.weeks (
    week date not null primary key,
    written bigint not null default 0,
    last_at timestamptz,
    reduced bigint
);

comment on table tidemill.weeks is 'The weeks that have partitions, by their Mondays.';
comment on column tidemill.weeks.written is 'How often the sink has written to it.';
comment on column tidemill.weeks.last_at is 'The youngest that has happened to a run of it.';
comment on column tidemill.weeks.reduced is 'As of so many writes nothing but failures is left.';

-- There is no default partition: each new partition would have to scan it under a lock that stops readers, and what
-- landed in it would escape pruning. A partition is built beside its table and then attached, which readers of the table do
-- not wait for. Each week is a transaction of its own, so that no number of weeks runs out of locks.
create function tidemill.make_week(day date) returns void
language plpgsql as $$
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

-- The sink alone writes these tables: what somebody else changes there the streams do not hear of. The sink says who it is.
do $$
declare
    parent text;
    child text;
begin
    foreach parent in array array['runs', 'stories', 'problems'] loop
        execute format(
            'create trigger read_model_no_change before insert or update or delete or truncate on tidemill.%I '
            'for each statement when (current_setting(''tidemill.sink'', true) is distinct from ''on'') '
            'execute function tidemill.refuse_statement(%L)',
            parent,
            'the sink writes it, and nothing follows from a change of it; insert a row into tidemill.requests to run, '
            'cancel or mark, and use tidemill.prune(older_than) to drop what is old');
    end loop;
    foreach child in array array['attempts', 'transitions'] loop
        execute format(
            'create trigger read_model_no_change instead of insert or update or delete on tidemill.%I '
            'for each row execute function tidemill.refuse_statement(%L)',
            child,
            'it shows what the sink has written; insert a row into tidemill.requests to run, cancel or mark');
    end loop;
end
$$;
