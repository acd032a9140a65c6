-- When a sink noticed that this database was restored from a backup, the last version that the database gave, and how
-- its definitions compare with those of the streams. Before the first comparison, the last migration counts as one.
select
    (select noticed_at from tidemill.restored) as noticed_at,
    (select last_value from tidemill.definition_version) as given,
    clock_timestamp() as now,
    coalesce(compared_at, (select max(applied_at) from tidemill.migrations)) as compared_at,
    differing,
    differing_since,
    refusal
from tidemill.reconciliation
