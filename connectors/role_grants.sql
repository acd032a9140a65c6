-- The rights of these roles on the schema tidemill and on what is in it; `kind` is the name of the role. Parameter: names.
with granted as (
    select acl.grantee, acl.privilege_type, 'schema' as sort, nspname::text as name, '' as column
    from pg_namespace
    cross join lateral aclexplode(nspacl) as acl
    where nspname = 'tidemill'
    union all
    select acl.grantee, acl.privilege_type, 'table', 'tidemill.' || relname, ''
    from pg_class
    cross join lateral aclexplode(relacl) as acl
    where relnamespace = 'tidemill'::regnamespace
    union all
    select acl.grantee, acl.privilege_type, 'table', 'tidemill.' || relname, attname::text
    from pg_class
    join pg_attribute on attrelid = pg_class.oid
    cross join lateral aclexplode(attacl) as acl
    where relnamespace = 'tidemill'::regnamespace and not attisdropped
    union all
    select
        acl.grantee, acl.privilege_type, 'function',
        'tidemill.' || proname || '(' || array_to_string(array(
            select format_type(each, null) from unnest(proargtypes) with ordinality as listed (each, place) order by place
        ), ',') || ')', ''
    from pg_proc
    cross join lateral aclexplode(proacl) as acl
    where pronamespace = 'tidemill'::regnamespace
)
select rolname::text as kind, privilege_type as privilege, sort, name, "column"
from granted
join pg_roles on pg_roles.oid = granted.grantee
where rolname = any (%(names)s)
