-- The rights and settings that migrations and the connector need.
select
    current_database() as database,
    current_user as role,
    current_setting('wal_level') as wal_level,
    has_database_privilege(current_database(), 'CREATE') as may_create,
    -- From the catalog: looking up a name would need rights on its schema.
    (select pg_has_role(current_user, nspowner, 'USAGE') from pg_namespace where nspname = 'tidemill') as owns_schema,
    (select rolname from pg_namespace join pg_roles on pg_roles.oid = nspowner where nspname = 'tidemill') as owner,
    -- Roles on Amazon RDS cannot have the attribute REPLICATION; they have a membership instead.
    exists (
        select from pg_roles
        where rolname = current_user and (rolsuper or rolreplication)
            or rolname in ('rds_replication', 'rds_superuser') and pg_has_role(current_user, oid, 'member')
    ) as may_replicate
