-- What the processes need of what is there, and this role may not.
select lower(privilege) || ' on tidemill.' || relname as missing
from (
    values
    ('migrations', '{SELECT}'),
    ('jobs', '{SELECT,INSERT,UPDATE,DELETE}'),
    ('definitions', '{SELECT,INSERT}'),
    ('requests', '{SELECT,INSERT,DELETE}'),
    ('heartbeat', '{SELECT,UPDATE}'),
    ('runs', '{SELECT,INSERT,UPDATE}'),
    ('attempts', '{SELECT,INSERT,UPDATE}'),
    ('transitions', '{SELECT,INSERT}'),
    ('problems', '{SELECT,INSERT}'),
    ('sink_offsets', '{SELECT,INSERT,UPDATE}'),
    ('retention', '{SELECT,INSERT,UPDATE}')
) as needed (name, privileges), unnest(privileges::text[]) as privilege, pg_class, pg_namespace
where pg_class.relname = name
    and relnamespace = pg_namespace.oid
    and nspname = 'tidemill'
    and not has_table_privilege(pg_class.oid, privilege)
union all
-- The sink adds a partition a day, and drops those whose time is over.
select 'ownership of tidemill.' || relname
from pg_class
join pg_namespace on relnamespace = pg_namespace.oid
where nspname = 'tidemill'
    and relname = any (array['runs', 'attempts', 'transitions', 'problems'])
    and not pg_has_role(current_user, relowner, 'usage')
union all
select lower(privilege) || ' on schema tidemill'
from unnest(array['USAGE', 'CREATE']) as privilege, pg_namespace
where nspname = 'tidemill' and not has_schema_privilege(oid, privilege)
