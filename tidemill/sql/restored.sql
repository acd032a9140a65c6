-- When a sink noticed that this database was restored from a backup, and the last version that the database gave.
select
    (select noticed_at from tidemill.restored) as noticed_at,
    (select last_value from tidemill.definition_version) as given
