-- How much WAL waits for the connector, and how much Postgres keeps for its slot.
with slot as (
    select
        wal_status, restart_lsn, confirmed_flush_lsn,
        case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end as end_lsn
    from pg_replication_slots
    where slot_name = %(slot_name)s
)
select
    coalesce(pg_wal_lsn_diff(end_lsn, confirmed_flush_lsn), 0)::bigint as lag_bytes,
    coalesce(pg_wal_lsn_diff(end_lsn, restart_lsn), 0)::bigint as kept_bytes,
    coalesce(wal_status, 'lost') = 'lost' as is_lost
from slot
