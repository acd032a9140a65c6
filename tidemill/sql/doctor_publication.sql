-- The publication, with its tables and operations.
select
    pubinsert as inserts,
    pubupdate as updates,
    array(
        select schemaname || '.' || tablename from pg_publication_tables as each
        where each.pubname = publication.pubname
    ) as tables
from pg_publication as publication
where pubname = %(publication)s
