-- The programs that are old enough and that no job, no node and no kept version names. Names end in the program's hash, so only
-- the hash is compared. Parameters: rows, as JSON: programs in S3; program_ttl.
with named as materialized (
    select executable from tidemill.jobs
    union all
    select executable from tidemill.dag_nodes
    union all
    select spec ->> 'executable' from tidemill.definitions where kind = 'job' and spec is not null
    union all
    select node ->> 'executable'
    from tidemill.definitions as dag
    cross join lateral json_array_elements(dag.spec -> 'nodes') as node
    where dag.kind = 'dag' and dag.spec is not null
)
select program.uri
from json_to_recordset(%(rows)s) as program (uri text, stored_at timestamptz)
where
    program.stored_at <= clock_timestamp() - %(program_ttl)s
    and not exists (select from named where right(named.executable, 64) = right(program.uri, 64))
