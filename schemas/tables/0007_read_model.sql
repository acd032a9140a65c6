-- The read model, which only the sink writes: runs, their attempts and transitions, and problems. A run is in the
-- partition of the week in which it first became known (decision 20).

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
    traceparent text,
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
    'One row for each run, or for a range of occurrences that did not run (missed_*). Only the sink writes it.';
comment on column tidemill.runs.run_id is
    '<job_id>@<nominal time>, <job_id>#<request_id>, or for a node <run_id of the DAG run>/<node_id>.';
comment on column tidemill.runs.job_id is 'The job; for a DAG run and its nodes the DAG.';
comment on column tidemill.runs.dag_id is 'The DAG, for a DAG run and its nodes.';
comment on column tidemill.runs.node_id is 'The node, for a node''s run.';
comment on column tidemill.runs.tenant is 'The tenant of the job or DAG.';
comment on column tidemill.runs.kind is 'scheduled, requested, backfill, backfilled, dag or node.';
comment on column tidemill.runs.nominal_time is
    'The time from the schedule, which identifies the occurrence, or the time of the request.';
comment on column tidemill.runs.scheduled_time is 'nominal_time plus jitter: the earliest start.';
comment on column tidemill.runs.state is
    'queued, running, retry_wait or cancelling while open; then a final state of docs/states.md.';
comment on column tidemill.runs.reason is 'Why the run is in its state, as a sentence; programs read reason_code.';
comment on column tidemill.runs.reason_code is 'Why the run is in its state, as a code of docs/reasons.md.';
comment on column tidemill.runs.blocked_by is 'For a skipped occurrence: the run that was open.';
comment on column tidemill.runs.attempt is 'Number of the latest attempt; 0: never dispatched.';
comment on column tidemill.runs.timeout_class is 'Timeout class of the latest attempt.';
comment on column tidemill.runs.executor_id is 'The executor of the latest attempt.';
comment on column tidemill.runs.queued_at is 'When the run was first queued.';
comment on column tidemill.runs.started_at is
    'When the latest attempt started; first_started_at is the start of the first one.';
comment on column tidemill.runs.finished_at is 'When the run ended.';
comment on column tidemill.runs.exit_code is 'Exit code of the latest attempt; 128 + N if signal N ended it.';
comment on column tidemill.runs.log_uri is 'S3 prefix of the latest attempt''s log.';
comment on column tidemill.runs.request_id is 'The request that started the run.';
comment on column tidemill.runs.rerun_id is 'The latest request that ran the run again.';
comment on column tidemill.runs.traceparent is
    'The traceparent of the request for the run, or for its DAG run; null: the run id decides its trace id.';
comment on column tidemill.runs.missed_from is 'First nominal time of a range of missed occurrences.';
comment on column tidemill.runs.missed_to is 'Last nominal time of that range, included.';
comment on column tidemill.runs.missed_count is 'How many occurrences the range has.';
comment on column tidemill.runs.missed_at_least is
    'True: counting stopped at a limit, so the range may have more occurrences.';
comment on column tidemill.runs.nodes is
    'For a DAG run: the number of nodes in each state; nodes that wait for others are not counted.';
comment on column tidemill.runs.dag_version is 'For a DAG run that has started: its version in tidemill.definitions.';
comment on column tidemill.runs.result is
    'The JSON that the run wrote to $TIDEMILL_RESULT; null if it is larger than 256 KB: then read result_uri.';
comment on column tidemill.runs.result_bytes is
    'Size of the result in bytes, without white space around it; null: the run wrote none.';
comment on column tidemill.runs.result_uri is 'Where the result is in S3, if it is there.';
comment on column tidemill.runs.result_sha256 is 'Checksum of the object at result_uri.';
comment on column tidemill.runs.next_nodes is
    'For a node that chose: the dependent nodes that are followed; for the others it counts as skipped.';
comment on column tidemill.runs.first_started_at is
    'When the first attempt started; started_at is the start of the latest one.';
comment on column tidemill.runs.version is 'Grows with every change of the run.';
comment on column tidemill.runs.filed_on is
    'The UTC day on which the run first became known; it decides the weekly partition, whatever the nominal time.';

-- The end of a node, for a rerun or mark in its DAG run: the fields of `schemas.request.NodeEnd`. A result that is in
-- S3 is passed as its address.
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

-- Each query locks every index of every partition that it reads, so there are few indexes. The columns after the time
-- serve conditions: an index entry that does not match costs no read of its row.
create index runs_by_job on tidemill.runs (job_id, nominal_time desc, state, missed_to);
create index runs_by_time on tidemill.runs (nominal_time desc, run_id);
-- Most runs have succeeded; queries by state ask for the others, which are few.
create index runs_by_state on tidemill.runs (state, nominal_time desc, run_id, job_id) where state <> 'succeeded';
-- A run that succeeded has no reason.
create index runs_by_reason on tidemill.runs (reason_code, nominal_time desc, run_id, job_id) where reason_code is not null;
-- Without this index a query for DAG runs reads up to 10,000 node runs for each of them.
create index runs_of_runs on tidemill.runs (kind, nominal_time desc, run_id, job_id) where kind in ('dag', 'backfill');
create index runs_of_backfills on tidemill.runs (request_id, state) where kind in ('backfilled', 'dag');

-- A view, so that a DAG run is pruned, kept and archived together with the runs of its nodes, which are in the same
-- week.
create view tidemill.dag_runs as
select
    run_id, job_id as dag_id, dag_version, tenant, nominal_time, scheduled_time, state, reason, reason_code, nodes, queued_at,
    started_at, finished_at, request_id, rerun_id, missed_from, missed_to, missed_count, missed_at_least, version
from tidemill.runs
where kind = 'dag';

comment on view tidemill.dag_runs is
    'One row for each DAG run. Its nodes are the rows of tidemill.runs with the run id <run_id>/<node_id>.';

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
    peak_memory bigint,
    cpu_seconds float8,
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

-- The dispatch time of the oldest attempt that may have a log in S3; an attempt that never reported may have written
-- one.
create function tidemill.oldest_log(attempts tidemill.attempt[]) returns timestamptz
language sql immutable parallel safe
return (
    select min(dispatched_at)
    from unnest(attempts)
    where log_deleted_at is null and (log_uri is not null or (started_at is not null and output is null))
);

-- The history of a run as one row, which is written and read as a whole.
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

comment on table tidemill.stories is
    'The attempts and transitions of each run, one row for each run; read the views tidemill.attempts and '
    'tidemill.transitions.';

create index stories_by_log on tidemill.stories (oldest_log) where oldest_log is not null;

create view tidemill.attempts as
select
    story.run_id, story.nominal_time, story.job_id, each.attempt, each.token, each.timeout_class, each.dispatched_at,
    each.executor_id, each.claimed_at, each.started_at, each.finished_at, each.ended_as, each.exit_code, each.reason,
    each.reason_code, each.sha256, each.output, each.output_bytes, each.log_uri, each.peak_memory, each.cpu_seconds,
    each.log_deleted_at, story.filed_on
from tidemill.stories as story
cross join lateral unnest(story.attempts) as each;

comment on view tidemill.attempts is 'One row for each attempt of a run.';
comment on column tidemill.attempts.attempt is 'Number of the attempt within its run, from 1.';
comment on column tidemill.attempts.token is 'Fencing token; a later attempt of the run has a higher one.';
comment on column tidemill.attempts.dispatched_at is 'When its owner dispatched it.';
comment on column tidemill.attempts.executor_id is 'The executor that claimed it.';
comment on column tidemill.attempts.claimed_at is 'When the executor claimed it, if it had to fetch the executable.';
comment on column tidemill.attempts.started_at is 'When its process started; null: it never did.';
comment on column tidemill.attempts.finished_at is 'When its process ended.';
comment on column tidemill.attempts.ended_as is
    'succeeded, failed, timed_out, promoted, lost, cancelled, rejected or expired; null: it has not ended.';
comment on column tidemill.attempts.exit_code is 'Exit code of the process; 128 + N if signal N ended it.';
comment on column tidemill.attempts.reason is 'Why it ended so, as a sentence; programs read reason_code.';
comment on column tidemill.attempts.reason_code is 'Why it ended so, as a code of docs/reasons.md.';
comment on column tidemill.attempts.sha256 is 'Checksum of the executable that ran.';
comment on column tidemill.attempts.output is 'Standard output and error, at most 8 KB: the start and the end.';
comment on column tidemill.attempts.output_bytes is 'How many bytes the process wrote.';
comment on column tidemill.attempts.log_uri is 'S3 prefix of the whole log; null: output has all of it.';
comment on column tidemill.attempts.peak_memory is
    'The most bytes of memory that it used: of all its processes, or of the largest one where the executor cannot tell.';
comment on column tidemill.attempts.cpu_seconds is 'CPU time of its processes, in seconds.';
comment on column tidemill.attempts.log_deleted_at is
    'When its log was deleted for its age; output stays as long as the row.';

create view tidemill.transitions as
select
    story.run_id, story.nominal_time, story.job_id, each.version, each.at, each.state, each.attempt, each.reason,
    each.reason_code, story.filed_on
from tidemill.stories as story
cross join lateral unnest(story.transitions) as each;

-- The records of the topic `deadletter`, identified by their offsets in that topic: inputs that were set aside, and
-- alerts.
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

comment on table tidemill.problems is 'Inputs that were set aside, and alerts; docs/reasons.md lists the codes.';
comment on column tidemill.problems.at is 'When the problem was recorded.';
comment on column tidemill.problems.partition is 'Partition of the problem in the topic deadletter.';
comment on column tidemill.problems.record_offset is 'Offset of the problem in that partition.';
comment on column tidemill.problems.topic_id is 'Kafka id of that topic; a topic that was made anew has another one.';
comment on column tidemill.problems.source_topic is 'Topic of the input that was set aside.';
comment on column tidemill.problems.source_partition is 'Partition of that input.';
comment on column tidemill.problems.source_offset is 'Offset of that input.';
comment on column tidemill.problems.owner is 'The job_id or dag_id.';
comment on column tidemill.problems.kind is
    'dead_letter: an input that had no effect; alert: a problem without a wrong input.';
comment on column tidemill.problems.code is 'What is wrong, as a code of docs/reasons.md.';
comment on column tidemill.problems.reason is 'What is wrong, as a sentence.';
comment on column tidemill.problems.request_id is 'The request that was refused.';
comment on column tidemill.problems.run_id is 'The run that an alert is about.';
comment on column tidemill.problems.record is 'The start of the input, as text.';

create index problems_by_owner on tidemill.problems (owner, at desc);

-- The sink's next offset of each partition. The sink updates it in the transaction that writes the rows, and only if
-- the stored offset is the one that it expects (compare and set), so a sink that lost a partition changes nothing
-- (protocol S1).
create table tidemill.sink_offsets (
    topic text not null,
    partition int not null,
    topic_id text not null,
    next_offset bigint not null,
    primary key (topic, partition)
);

-- The tables that are partitioned by week.
create function tidemill.weekly_tables() returns text[]
language sql immutable parallel safe
return array['problems', 'runs', 'stories'];

create function tidemill.week_of(day date) returns date
language sql immutable parallel safe
return day - (extract(isodow from day)::int - 1);

-- Facts about each week, so that no query has to read its partitions. The sink updates the row before it writes to the
-- week, so the lock of the row locks the week.
create table tidemill.weeks (
    week date not null primary key,
    written bigint not null default 0,
    last_at timestamptz,
    reduced bigint
);

comment on table tidemill.weeks is 'One row for each week that has partitions, by its Monday.';
comment on column tidemill.weeks.written is 'How many times the sink has written to the week.';
comment on column tidemill.weeks.last_at is 'Time of the latest event of any run of the week.';
comment on column tidemill.weeks.reduced is
    'The value of written when the week was reduced to its failures; null: never.';

-- There is no default partition: each new partition would scan it under a lock that blocks readers, and pruning would
-- miss its rows. A partition is created as a table and then attached, which does not block readers. Call it once for
-- each transaction, so that many weeks do not exhaust the locks.
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

-- Only the sink writes these tables: the streams would not learn of any other change. The sink sets tidemill.sink.
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
            'only the sink writes it, and a change has no effect on runs; insert a row into tidemill.requests to run, '
            'cancel or mark, and use tidemill.prune(older_than) to drop old weeks');
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
