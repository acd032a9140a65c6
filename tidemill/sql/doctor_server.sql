-- The server's version and settings, and the role's replication right.
select
    current_setting('server_version_num')::int as version,
    current_database() as database,
    current_user as role,
    pg_is_in_recovery() as is_replica,
    (
        select json_object_agg(name, setting) from pg_settings
        where name in (
            'wal_level', 'max_slot_wal_keep_size', 'max_replication_slots', 'max_wal_senders',
            'idle_replication_slot_timeout', 'synchronized_standby_slots')
    ) as settings,
    (select count(*)::int from pg_replication_slots) as replication_slots,
    -- On Amazon RDS a role cannot have the attribute, but a membership gives the same right.
    exists (
        select from pg_roles
        where rolname = current_user and (rolsuper or rolreplication)
            or rolname in ('rds_replication', 'rds_superuser') and pg_has_role(current_user, oid, 'member')
    ) as may_replicate,
    -- From the catalog: to_regclass needs rights on the schema.
    exists (
        select from pg_class
        join pg_namespace on pg_namespace.oid = relnamespace
        where nspname = 'tidemill' and relname = 'migrations'
    ) as is_migrated
