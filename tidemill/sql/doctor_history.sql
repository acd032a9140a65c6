-- The size of the sink's tables, the problems of the last day, and the age of the connector's heartbeat.
select
    clock_timestamp() as now,
    (
        select coalesce(sum(pg_total_relation_size(('tidemill.' || quote_ident(child))::regclass)), 0)::bigint
        from tidemill.week_partitions()
    ) as total_bytes,
    (select count(*)::int from tidemill.problems where at > statement_timestamp() - interval '1 day') as problems,
    (
        select string_agg(reason, '; ' order by at desc)
        from (
            select distinct on (reason) reason, at from tidemill.problems
            where at > statement_timestamp() - interval '1 day' and code = 'batch_unreadable'
            order by reason, at desc limit 5
        ) as unreadable
    ) as unreadable,
    clock_timestamp() - (select at from tidemill.heartbeat) as heartbeat_age
