-- The rights on existing tables that users and processes need and that this role lacks.
select lower(privilege) || ' on tidemill.' || relname as missing
from (
    values
    ('migrations', '{SELECT}'),
    ('zones', '{SELECT}'),
    ('timeout_classes', '{SELECT}'),
    ('restored', '{SELECT,INSERT,DELETE}'),
    ('reconciliation', '{SELECT,UPDATE}'),
    ('jobs', '{SELECT,INSERT,UPDATE,DELETE}'),
    ('dags', '{SELECT,INSERT,UPDATE,DELETE}'),
    ('dag_nodes', '{SELECT,INSERT,UPDATE,DELETE}'),
    ('dag_changes', '{SELECT,INSERT,DELETE}'),
    ('owners', '{SELECT,INSERT,UPDATE,DELETE}'),
    ('definitions', '{SELECT,INSERT,DELETE}'),
    ('definitions_pruned', '{SELECT,UPDATE}'),
    ('requests', '{SELECT,INSERT,DELETE}'),
    ('fences', '{SELECT,DELETE}'),
    ('heartbeat', '{SELECT,UPDATE}'),
    ('runs', '{SELECT,INSERT,UPDATE}'),
    ('stories', '{SELECT,INSERT,UPDATE}'),
    ('attempts', '{SELECT}'),
    ('transitions', '{SELECT}'),
    ('weeks', '{SELECT,INSERT,UPDATE,DELETE}'),
    ('problems', '{SELECT,INSERT}'),
    ('dag_runs', '{SELECT}'),
    ('backfills', '{SELECT}'),
    ('sink_offsets', '{SELECT,INSERT,UPDATE}'),
    ('retention', '{SELECT,INSERT,UPDATE}')
) as needed (name, privileges), unnest(privileges::text[]) as privilege, pg_class, pg_namespace
where pg_class.relname = name
    and relnamespace = pg_namespace.oid
    and nspname = 'tidemill'
    and not has_table_privilege(pg_class.oid, privilege)
union all
select 'usage on sequence tidemill.' || relname
from pg_class
join pg_namespace on relnamespace = pg_namespace.oid
where nspname = 'tidemill' and relname = 'definition_version' and not has_sequence_privilege(pg_class.oid, 'USAGE')
union all
-- The sink adds a partition each week, and drops expired ones.
select distinct
    'ownership of ' || case when each.oid = parent.oid then '' else 'the partitions of ' end || 'tidemill.'
    || parent.relname
from pg_class as parent
join pg_namespace on parent.relnamespace = pg_namespace.oid
left join pg_inherits on inhparent = parent.oid
join pg_class as each on each.oid in (parent.oid, inhrelid)
where nspname = 'tidemill'
    and parent.relname = any (array['runs', 'stories', 'problems'])
    and not pg_has_role(current_user, each.relowner, 'usage')
union all
select lower(privilege) || ' on schema tidemill'
from unnest(array['USAGE', 'CREATE']) as privilege, pg_namespace
where nspname = 'tidemill' and not has_schema_privilege(oid, privilege)
