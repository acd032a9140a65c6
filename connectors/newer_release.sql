-- A sentence if a newer release has migrated this database; otherwise no row. The query reads each row as JSON, because the
-- table of 0.1.0 has no column release.
select format(
    'release %%1$s has migrated this database (%%2$s), and this is %%3$s: its processes may go on '
    'if %%1$s is the release right after it',
    string_agg(distinct coalesce(to_jsonb(each) ->> 'release', 'unknown'), ', '),
    string_agg(name, ', ' order by name),
    %(release)s::text)
from tidemill.migrations as each
where name <> all (%(known)s)
having count(*) > 0
