-- The connector's slot, and how much WAL Postgres keeps for it.
select
    coalesce(plugin, '') as plugin,
    coalesce(database, '') as database,
    active,
    coalesce(wal_status, 'lost') as wal_status,
    coalesce(
        pg_wal_lsn_diff(
            case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, restart_lsn),
        0)::bigint as behind_bytes,
    safe_wal_size as safe_bytes,
    -- A column since Postgres 17.
    coalesce((to_jsonb(slot) ->> 'failover')::boolean, false) as failover
from pg_replication_slots as slot
where slot_name = %(slot_name)s
