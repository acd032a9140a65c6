-- `schemas.digest` of all jobs and DAGs: count, sum, and XOR of the mixed versions. 1,000,000 rows take about 0.3 s.
-- `offset 0` keeps Postgres from computing an inner value once for each use.
with known as (
    select version from tidemill.jobs
    union all
    select version from tidemill.dags where version is not null
), halves as (
    select version, ((version # (version >> 16)) & 4294967295) * 73244475 & 4294967295 as half from known offset 0
), mixed as (
    select version, (half # (half >> 16)) * 73244475 & 4294967295 as half from halves offset 0
)
select count(*) as count, coalesce(sum(version), 0)::bigint as total, coalesce(bit_xor(half # (half >> 16)), 0) as mixed
from mixed
