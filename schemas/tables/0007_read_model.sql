-- What the sink writes and everybody reads: runs, their attempts and transitions, and problems; one partition a day.

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
    result jsonb,
    result_bytes int,
    result_uri text,
    result_sha256 text,
    next_nodes jsonb,
    version bigint not null,
    primary key (run_id, nominal_time)
) partition by range (nominal_time);

comment on table tidemill.runs is
    'One row a run, or a range of occurrences that did not run (missed_*). Written by the sink alone.';
comment on column tidemill.runs.nominal_time is 'What the schedule says: the identity of the run.';
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
create function tidemill.node_end(node tidemill.runs) returns jsonb
language sql immutable parallel safe
return jsonb_build_object('state', node.state, 'attempt', node.attempt)
    || case
        when node.result_bytes is null then '{}'
        when node.result_uri is null then
            jsonb_build_object('result', jsonb_build_object('bytes', node.result_bytes, 'value', node.result))
        else
            jsonb_build_object(
                'result',
                jsonb_build_object(
                    'bytes', node.result_bytes, 'uri', node.result_uri, 'sha256', node.result_sha256))
    end
    || case when node.next_nodes is null then '{}' else jsonb_build_object('next_nodes', node.next_nodes) end;

create index runs_by_job on tidemill.runs (job_id, nominal_time desc);
create index runs_by_state on tidemill.runs (state, nominal_time desc);
create index runs_by_scheduled_time on tidemill.runs (scheduled_time desc);
-- A DAG run has up to 10,000 neighbours that are runs of its nodes.
create index dag_runs_by_time on tidemill.runs (nominal_time desc) where kind = 'dag';
create index dag_runs_by_dag on tidemill.runs (dag_id, nominal_time desc) where kind = 'dag';

-- A view: so a DAG run is pruned, kept and archived with its day, and with the runs of its nodes, which are on the same one.
create view tidemill.dag_runs as
select
    run_id, dag_id, dag_version, tenant, nominal_time, scheduled_time, state, reason, nodes, queued_at, started_at,
    finished_at, request_id, rerun_id, missed_from, missed_to, missed_count, missed_at_least, version
from tidemill.runs
where kind = 'dag';

comment on view tidemill.dag_runs is
    'One row an epoch of a DAG. Its nodes are the rows of tidemill.runs with the run id <run_id>/<node_id>.';

create table tidemill.attempts (
    run_id text not null,
    nominal_time timestamptz not null,
    job_id text not null,
    attempt int not null,
    token bigint not null,
    timeout_class text not null,
    dispatched_at timestamptz not null,
    executor_id text,
    claimed_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    ended_as text,
    exit_code int,
    reason text,
    sha256 text,
    output text,
    output_bytes bigint not null default 0,
    log_uri text,
    log_deleted_at timestamptz,
    primary key (run_id, attempt, token, nominal_time)
) partition by range (nominal_time);

comment on column tidemill.attempts.ended_as is
    'How it ended: succeeded, failed, timed_out, promoted, lost, cancelled, rejected, expired; null: it has not.';
comment on column tidemill.attempts.sha256 is 'Of the binary that ran.';
comment on column tidemill.attempts.log_deleted_at is
    'Its log was too old to keep; what is in output stays as long as the row.';

-- The attempts that have, or may have, a log in S3: one that never reported may have written some.
create index attempts_by_log on tidemill.attempts (dispatched_at)
where log_deleted_at is null and (log_uri is not null or (started_at is not null and output is null));

create table tidemill.transitions (
    run_id text not null,
    nominal_time timestamptz not null,
    job_id text not null,
    version bigint not null,
    at timestamptz not null,
    state text not null,
    attempt int not null,
    reason text,
    primary key (run_id, version, nominal_time)
) partition by range (nominal_time);

-- What could not be understood: a record of the dead letter topic, under its own place in that topic.
create table tidemill.problems (
    at timestamptz not null,
    partition int not null,
    record_offset bigint not null,
    topic_id text not null,
    source_topic text,
    source_partition int,
    source_offset bigint,
    owner text,
    reason text not null,
    record text,
    primary key (at, partition, record_offset, topic_id)
) partition by range (at);

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

-- The tables that have a partition a day, in the order in which the sink writes them, so that locks are taken in it.
create function tidemill.daily_tables() returns text[]
language sql immutable parallel safe
return array['problems', 'runs', 'attempts', 'transitions'];

-- There is no default partition: each new partition would have to scan it under a lock that stops readers, and what
-- landed in it would escape pruning. Instead the sink names the days of what it is about to write, in the same
-- transaction. A partition is built beside its table and then attached, which readers of the table do not wait for.
create function tidemill.ensure_partitions(dates date[]) returns void
language plpgsql as $$
declare
    parent text;
    day date;
    child text;
begin
    foreach parent in array tidemill.daily_tables() loop
        for day in select distinct each from unnest(dates) as each where each is not null order by each loop
            child := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
            continue when to_regclass('tidemill.' || child) is not null;
            perform pg_advisory_xact_lock(hashtext('tidemill.partitions'));
            continue when to_regclass('tidemill.' || child) is not null;
            execute format(
                'create table tidemill.%I '
                '(like tidemill.%I including defaults including constraints including indexes)',
                child, parent);
            execute format(
                'alter table tidemill.%I attach partition tidemill.%I for values from (%L) to (%L)',
                parent, child, day || ' 00:00:00+00', (day + 1) || ' 00:00:00+00');
        end loop;
    end loop;
end
$$;
