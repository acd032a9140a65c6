-- The time, which transactions may still be open, and the time from which the read model has kept every row.
select
    clock_timestamp() as now,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint as open_from,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next_transaction,
    tidemill.kept_from() as earliest
