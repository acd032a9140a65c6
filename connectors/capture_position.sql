-- The end of the WAL, and how far the connector has confirmed it: everything before is in the topic `cdc`.
select
    pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint as written,
    (
        select pg_wal_lsn_diff(confirmed_flush_lsn, '0/0')::bigint
        from pg_replication_slots
        where slot_name = %(slot_name)s and database = current_database() and wal_status is distinct from 'lost'
    ) as confirmed
