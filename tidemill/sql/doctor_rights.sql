-- The rights that this role needs for the doctor and lacks. Parameter: names, of the tables that readers read.
select 'select on ' || name as missing
from unnest(%(names)s::text[]) as name
join pg_class on 'tidemill.' || relname = name
join pg_namespace on relnamespace = pg_namespace.oid and nspname = 'tidemill'
where not has_table_privilege(pg_class.oid, 'SELECT')
union all
select 'usage on schema tidemill'
from pg_namespace
where nspname = 'tidemill' and not has_schema_privilege(oid, 'USAGE')
