-- Write a run only if the record's version is newer; returns the written runs. Parameter: rows, as JSON.
insert into tidemill.runs as known
select * from json_populate_recordset(null::tidemill.runs, %(rows)s)
on conflict (run_id, filed_on) do update set
    job_id = excluded.job_id,
    dag_id = excluded.dag_id,
    node_id = excluded.node_id,
    tenant = excluded.tenant,
    kind = excluded.kind,
    nominal_time = excluded.nominal_time,
    scheduled_time = excluded.scheduled_time,
    state = excluded.state,
    reason = excluded.reason,
    reason_code = excluded.reason_code,
    blocked_by = excluded.blocked_by,
    attempt = excluded.attempt,
    timeout_class = excluded.timeout_class,
    executor_id = excluded.executor_id,
    queued_at = excluded.queued_at,
    started_at = excluded.started_at,
    finished_at = excluded.finished_at,
    exit_code = excluded.exit_code,
    log_uri = excluded.log_uri,
    request_id = excluded.request_id,
    rerun_id = excluded.rerun_id,
    traceparent = excluded.traceparent,
    missed_from = excluded.missed_from,
    missed_to = excluded.missed_to,
    missed_count = excluded.missed_count,
    missed_at_least = excluded.missed_at_least,
    nodes = excluded.nodes,
    dag_version = excluded.dag_version,
    result = excluded.result,
    result_bytes = excluded.result_bytes,
    result_uri = excluded.result_uri,
    result_sha256 = excluded.result_sha256,
    next_nodes = excluded.next_nodes,
    -- A rerun keeps the value from before the rerun.
    first_started_at = case
        when excluded.rerun_id is null then excluded.first_started_at
        else coalesce(known.first_started_at, excluded.first_started_at)
    end,
    version = excluded.version
where known.version < excluded.version
returning run_id
