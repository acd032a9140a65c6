-- The tables of DAGs, which users write: one row of dags, and one row of dag_nodes for each node, in any order within
-- one transaction. At its commit the graph is checked and compiled into one version of its definition.

create table tidemill.dags (
    dag_id text not null primary key,
    tenant text not null default 'default',
    schedule text,
    timezone text not null default 'UTC',
    overlap_policy text not null default 'skip',
    buffer_limit int not null default 1000,
    max_active_epochs int not null default 1,
    dag_timeout interval,
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
    version bigint,
    updated_at timestamptz
);

comment on table tidemill.dags is
    'What runs in the order of its dependencies; the nodes are rows of dag_nodes. Each change takes effect when it '
    'commits.';
comment on column tidemill.dags.dag_id is 'Name of the DAG: 1 to 200 characters, unique among jobs and DAGs.';
comment on column tidemill.dags.tenant is
    'Label for filtering DAGs and runs; it does not change how they run. Default: default.';
comment on column tidemill.dags.schedule is
    '5 cron fields, 6 with seconds first, @daily and similar, @every 90s, or @at <RFC 3339>; null: only requests '
    'start runs.';
comment on column tidemill.dags.timezone is 'IANA time zone of the schedule, such as Europe/Berlin. Default: UTC.';
comment on column tidemill.dags.overlap_policy is
    'What happens to an occurrence while max_active_epochs DAG runs are open; see docs/policies.md. Default: skip.';
comment on column tidemill.dags.buffer_limit is
    'How many occurrences may wait for open DAG runs (buffer_all or allow_all), 1 to 10000. Default: 1000.';
comment on column tidemill.dags.max_active_epochs is 'How many DAG runs may be open at once, 1 to 1000. Default: 1.';
comment on column tidemill.dags.dag_timeout is
    'Longest time that a DAG run may be open; then its open nodes are cancelled. Null: no limit.';
comment on column tidemill.dags.on_delete is
    'What deleting the DAG does to its open runs: finish or cancel. Default: finish.';
comment on column tidemill.dags.catchup_policy is
    'Which occurrences run that are later than misfire_grace: skip, latest or all. Default: latest.';
comment on column tidemill.dags.catchup_window is
    'How far back catchup_policy and catchup_after_pause reach; older occurrences are missed. Default: 24 h.';
comment on column tidemill.dags.catchup_after_pause is
    'Which occurrences of a pause run when it ends: skip, latest or all. Default: skip.';
comment on column tidemill.dags.misfire_grace is
    'An occurrence that is at most this late runs as usual; catchup_policy decides later ones. Default: 60 s.';
comment on column tidemill.dags.start_deadline is
    'An occurrence that has not started this long after its time is missed; null: it may start at any time.';
comment on column tidemill.dags.jitter is
    'Each occurrence starts up to this much later, always by the same amount for the same time. Default: 0 s.';
comment on column tidemill.dags.dst_gap is
    'An occurrence whose local time a clock change skips: shift moves it after the gap, skip drops it. Default: '
    'shift.';
comment on column tidemill.dags.dst_fold is
    'A local time that a clock change repeats: first, second or both; null: first for fixed hours, both for '
    'wildcard hours.';
comment on column tidemill.dags.max_runs is
    'This many occurrences become DAG runs, and no more; requests do not count. Null: no limit.';
comment on column tidemill.dags.pause_on_failure is
    'After this many consecutive DAG runs that failed, occurrences are skipped until the row changes; null: never.';
comment on column tidemill.dags.resumed_at is
    'Set it to now() to resume a DAG that pause_on_failure stopped; any other change resumes it too.';
comment on column tidemill.dags.paused is 'True: occurrences are skipped; requests still run. Default: false.';
comment on column tidemill.dags.paused_note is
    'Why it is paused, at most 1000 characters; shown with the skipped occurrences.';
comment on column tidemill.dags.starts_at is 'Occurrences before this time do not exist; null: no limit.';
comment on column tidemill.dags.ends_at is 'Occurrences at or after this time do not exist; null: no limit.';
comment on column tidemill.dags.version is
    'Set by trigger at commit: the version of this row and its nodes in tidemill.definitions.';
comment on column tidemill.dags.updated_at is 'Set by trigger at commit: when the DAG last changed.';

create table tidemill.dag_nodes (
    dag_id text not null,
    node_id text not null,
    depends_on text[] not null default '{}',
    trigger_rule text not null default 'all_success',
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
    skip_exit_codes int[] not null default '{}',
    max_infra_retries int not null default 10,
    max_retry_duration interval,
    cancel_grace interval not null default '30 s',
    sandbox text,
    memory bigint,
    disk bigint,
    cpu float8,
    pids int,
    network text,
    unveil text[] not null default '{}',
    primary key (dag_id, node_id)
);

comment on table tidemill.dag_nodes is
    'The nodes of DAGs, in any order, also before their row in dags. The graph is checked at commit.';
comment on column tidemill.dag_nodes.dag_id is 'The DAG, a row of tidemill.dags when the transaction commits.';
comment on column tidemill.dag_nodes.node_id is 'Name of the node: 1 to 200 characters, unique within the DAG.';
comment on column tidemill.dag_nodes.depends_on is
    'Ids of the nodes of the same DAG that this node depends on. Default: {}.';
comment on column tidemill.dag_nodes.trigger_rule is
    'When the node runs, depending on how the nodes in depends_on ended; see docs/dags.md. Default: all_success.';
comment on column tidemill.dag_nodes.executable is 's3://bucket/key of the program that a run starts.';
comment on column tidemill.dag_nodes.sha256 is
    'Checksum of the executable; null: any content. A statement that sets another executable must set it too.';
comment on column tidemill.dag_nodes.args is
    'Arguments of the process: a JSON array of strings, at most 32 KB. Default: [].';
comment on column tidemill.dag_nodes.env is
    'Environment variables of the process: a JSON object of strings, at most 32 KB. Default: {}.';
comment on column tidemill.dag_nodes.payload is
    'JSON of at most 256 KB on the standard input of the process; if the node depends on others, the input is '
    '{"payload": …, "results": …}. Default: null.';
comment on column tidemill.dag_nodes.timeout is
    'The longest that an attempt may take; null: the limit of its timeout class.';
comment on column tidemill.dag_nodes.timeout_class is
    'Timeout class in which a run starts; null: the shortest class that allows the timeout.';
comment on column tidemill.dag_nodes.promote is
    'True: a run that reaches the limit of its class starts again in the next class. False: it is timed_out. '
    'Default: true.';
comment on column tidemill.dag_nodes.max_attempts is
    'How many attempts of a run may fail or time out, 1 to 1000. Default: 1, so no retry.';
comment on column tidemill.dag_nodes.initial_interval is 'Wait before the first retry. Default: 1 s.';
comment on column tidemill.dag_nodes.backoff_coefficient is
    'Factor by which the wait grows with each retry, 1 to 100. Default: 2.';
comment on column tidemill.dag_nodes.max_interval is 'Longest wait before a retry. Default: 1 min.';
comment on column tidemill.dag_nodes.retry_jitter is
    'Random share of the wait that is added to it, 0 to 1. Default: 0.1.';
comment on column tidemill.dag_nodes.non_retryable_exit_codes is
    'Exit codes from 1 to 255 after which a run is not retried. Default: {}.';
comment on column tidemill.dag_nodes.skip_exit_codes is
    'Exit codes from 1 to 255 with which the node succeeds and its dependent nodes are skipped; see docs/dags.md. '
    'Default: {}.';
comment on column tidemill.dag_nodes.max_infra_retries is
    'How many attempts of a run may be lost or fail to start without counting in max_attempts, 0 to 1000. Default: 10.';
comment on column tidemill.dag_nodes.max_retry_duration is
    'No attempt starts later than this after the first attempt; null: no limit of time.';
comment on column tidemill.dag_nodes.cancel_grace is
    'Time from TERM to KILL when a process is cancelled. Default: 30 s.';
comment on column tidemill.dag_nodes.sandbox is
    'How much its attempts are isolated: basic or strict; null: as the executor does by default. See docs/jobs.md.';
comment on column tidemill.dag_nodes.memory is
    'The most memory of an attempt, in bytes, from 1 MB (1048576); null: no limit.';
comment on column tidemill.dag_nodes.disk is
    'The most that an attempt writes into its working directory, in bytes, from 1 MB (1048576); null: no limit.';
comment on column tidemill.dag_nodes.cpu is 'The most cores that an attempt uses, such as 0.5; null: no limit.';
comment on column tidemill.dag_nodes.pids is
    'The most processes and threads of an attempt at the same time; null: no limit.';
comment on column tidemill.dag_nodes.network is
    'Whether an attempt has a network: any or none; null: any, and none in the sandbox strict.';
comment on column tidemill.dag_nodes.unveil is
    'Paths that an attempt may use besides its own: r:/srv/www, rw:/srv/in or rx:/opt/tool. Executors must allow '
    'them. Default: {}.';

-- The DAGs that a transaction has changed: one row for each, and so one deferred trigger, however many nodes it writes.
-- The row is deleted before the transaction ends, so no other session sees it.
create table tidemill.dag_changes (
    dag_id text not null,
    changed_by xid8 not null,
    primary key (dag_id, changed_by)
);

create function tidemill.mark_dags(changed text[]) returns void
language sql volatile as $$
    insert into tidemill.dag_changes (dag_id, changed_by)
    select distinct dag_id, pg_current_xact_id() from unnest(changed) as dag_id
    on conflict do nothing
$$;

create function tidemill.check_dag(dag tidemill.dags) returns void
language plpgsql stable as $$
begin
    perform tidemill.check_id('dag_id', dag.dag_id);
    perform tidemill.check_schedule_columns(dag);
    perform tidemill.check_number('max_active_epochs', dag.max_active_epochs, 1, 1000);
    if dag.dag_timeout is not null then
        perform tidemill.check_duration('dag_timeout', dag.dag_timeout, '1 ms');
    end if;
end
$$;

create function tidemill.check_depends_on(node tidemill.dag_nodes) returns void
language plpgsql immutable as $$
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

create function tidemill.check_node(node tidemill.dag_nodes) returns void
language plpgsql stable as $$
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

create function tidemill.refuse_dag(of_dag text, problem text) returns void
language plpgsql as $$
begin
    raise exception using
        errcode = 'check_violation',
        message = format('dag "%s" is refused: %s', of_dag, problem),
        schema = 'tidemill',
        table = 'dag_nodes';
end
$$;

-- The fields of `schemas.dag.NodeSpec`, without those that have their default values.
create function tidemill.node_spec(node tidemill.dag_nodes) returns json
language sql immutable parallel safe
return tidemill.spec_with(jsonb_strip_nulls(jsonb_build_object(
        'node_id', node.node_id,
        'depends_on', to_jsonb(nullif(node.depends_on, '{}')),
        'trigger_rule', nullif(node.trigger_rule, 'all_success'),
        'executable', node.executable,
        'sha256', node.sha256,
        'args', nullif(node.args, '[]'),
        'env', nullif(node.env, '{}'),
        'timeout', tidemill.wire_duration(node.timeout),
        'timeout_class', node.timeout_class,
        'promote', nullif(node.promote, true),
        'max_attempts', nullif(node.max_attempts, 1),
        'initial_interval', tidemill.wire_duration(nullif(node.initial_interval, '1 s')),
        'backoff_coefficient', nullif(node.backoff_coefficient, 2.0),
        'max_interval', tidemill.wire_duration(nullif(node.max_interval, '1 min')),
        'retry_jitter', nullif(node.retry_jitter, 0.1),
        'non_retryable_exit_codes', to_jsonb(nullif(node.non_retryable_exit_codes, '{}')),
        'skip_exit_codes', to_jsonb(nullif(node.skip_exit_codes, '{}')),
        'max_infra_retries', nullif(node.max_infra_retries, 10),
        'max_retry_duration', tidemill.wire_duration(node.max_retry_duration),
        'cancel_grace', tidemill.wire_duration(nullif(node.cancel_grace, '30 s')),
        'sandbox', node.sandbox,
        'memory', node.memory,
        'disk', node.disk,
        'cpu', node.cpu,
        'pids', node.pids,
        'network', node.network,
        'unveil', to_jsonb(nullif(node.unveil, '{}'))
    )), 'payload', node.payload);

-- The fields of `schemas.dag.DagSpec`.
create function tidemill.dag_spec(dag tidemill.dags, nodes json) returns json
language sql immutable parallel safe
return tidemill.spec_with(jsonb_strip_nulls(jsonb_build_object(
        'dag_id', dag.dag_id,
        'tenant', dag.tenant,
        'schedule', dag.schedule,
        'timezone', dag.timezone,
        'overlap_policy', dag.overlap_policy,
        'buffer_limit', dag.buffer_limit,
        'max_active_epochs', dag.max_active_epochs,
        'dag_timeout', tidemill.wire_duration(dag.dag_timeout),
        'on_delete', dag.on_delete,
        'catchup_policy', dag.catchup_policy,
        'catchup_window', tidemill.wire_duration(dag.catchup_window),
        'catchup_after_pause', dag.catchup_after_pause,
        'misfire_grace', tidemill.wire_duration(dag.misfire_grace),
        'start_deadline', tidemill.wire_duration(dag.start_deadline),
        'jitter', tidemill.wire_duration(dag.jitter),
        'dst_gap', dag.dst_gap,
        'dst_fold', dag.dst_fold,
        'max_runs', dag.max_runs,
        'pause_on_failure', dag.pause_on_failure,
        'resumed_at', tidemill.wire_instant(dag.resumed_at),
        'paused', dag.paused,
        'paused_note', dag.paused_note,
        'starts_at', tidemill.wire_instant(dag.starts_at),
        'ends_at', tidemill.wire_instant(dag.ends_at)
    )), 'nodes', nodes);

-- The nodes of a cycle, in the order in which they would run, with the first one again at the end. `waits` is the
-- number of dependencies that each node still waits for: nodes on a cycle, and all nodes below one, wait forever.
create function tidemill.dag_cycle(waits int[], children int[], starts int[]) returns int[]
language plpgsql immutable as $$
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

-- A path as text; a very long path is shortened to its start and its end.
create function tidemill.shown_path(names text[]) returns text
language sql immutable parallel safe
return case
    when cardinality(names) <= 21 then array_to_string(names, ' → ')
    else array_to_string(names[:10], ' → ') || ' → … (' || cardinality(names) - 20 || ' more) … → '
        || array_to_string(names[cardinality(names) - 9:], ' → ')
end;

-- The nodes in an order in which each comes after its dependencies (Kahn's algorithm); the same graph always gets the
-- same order. A node's number is its index in `names`.
create function tidemill.dag_order(of_dag text, names text[]) returns int[]
-- New rows have no statistics yet, so the planner expects few of them and would choose a slow nested loop.
language plpgsql stable set enable_nestloop = off as $$
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

create function tidemill.check_node_names(of_dag text, names text[]) returns void
language plpgsql stable set enable_nestloop = off as $$
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

create function tidemill.compiled_dag(dag tidemill.dags) returns json
language plpgsql stable set enable_nestloop = off as $$
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

-- The lock of the DAG's row makes transactions that change the DAG or its nodes commit one after the other, each with
-- the changes before it: if two transactions each add half of a cycle, the second is refused (protocol I3).
create function tidemill.compile_dag(of_dag text) returns void
language plpgsql volatile as $$
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

-- The first trigger of a transaction compiles all DAGs that it has changed, in the order of their ids, so that
-- transactions that change several DAGs do not deadlock.
create function tidemill.dag_changed() returns trigger
language plpgsql as $$
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

create constraint trigger dag_changed after insert on tidemill.dag_changes
deferrable initially deferred
for each row execute function tidemill.dag_changed();

create function tidemill.dag_before_change() returns trigger
language plpgsql as $$
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

-- Deletes or renames the nodes together with their DAG. A DAG that was never compiled has no definition to delete.
create function tidemill.dag_after_change() returns trigger
language plpgsql as $$
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

create trigger dag_before_change before insert or update on tidemill.dags
for each row execute function tidemill.dag_before_change();

create trigger dag_after_change after insert or update or delete on tidemill.dags
for each row execute function tidemill.dag_after_change();

create trigger dags_no_truncate before truncate on tidemill.dags
for each statement execute function tidemill.refuse_statement(
    'it would remove DAGs without recording their deletion; use delete from tidemill.dags');

create function tidemill.node_before_change() returns trigger
language plpgsql as $$
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

create function tidemill.nodes_after_change() returns trigger
language plpgsql as $$
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

create trigger dag_nodes_a_names_no_sha256 before update on tidemill.dag_nodes
for each statement execute function tidemill.note_sha256('off');

-- It fires after the trigger above: triggers fire in the order of their names.
create trigger dag_nodes_b_names_sha256 before update of sha256 on tidemill.dag_nodes
for each statement execute function tidemill.note_sha256('on');

create trigger node_before_change before insert or update on tidemill.dag_nodes
for each row execute function tidemill.node_before_change();

create trigger nodes_after_insert after insert on tidemill.dag_nodes
referencing new table as after_it
for each statement execute function tidemill.nodes_after_change();

create trigger nodes_after_update after update on tidemill.dag_nodes
referencing old table as before_it new table as after_it
for each statement execute function tidemill.nodes_after_change();

create trigger nodes_after_delete after delete on tidemill.dag_nodes
referencing old table as before_it
for each statement execute function tidemill.nodes_after_change();

create trigger dag_nodes_no_truncate before truncate on tidemill.dag_nodes
for each statement execute function tidemill.refuse_statement('a DAG has at least one node; use delete');
