-- A row if this database has roles of its deployment: an earlier release made none.
select relname from pg_class join pg_namespace on relnamespace = pg_namespace.oid
where nspname = 'tidemill' and relname = 'roles'
