-- What migrations and the connector need of the server and the role.
select
    current_database() as database,
    current_user as role,
    current_setting('wal_level') as wal_level,
    has_database_privilege(current_database(), 'CREATE') as may_create,
    -- By the catalog: to look up a name one would need rights on its schema.
    (select pg_has_role(current_user, nspowner, 'USAGE') from pg_namespace where nspname = 'tidemill') as owns_schema,
    (select rolname from pg_namespace join pg_roles on pg_roles.oid = nspowner where nspname = 'tidemill') as owner,
    -- Amazon's roles cannot have the attribute; a membership stands for it.
    exists (
        select from pg_roles
        where rolname = current_user and (rolsuper or rolreplication)
            or rolname in ('rds_replication', 'rds_superuser') and pg_has_role(current_user, oid, 'member')
    ) as may_replicate
