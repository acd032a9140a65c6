-- Whether a sink has noticed that this database comes from a backup, and the last version that it has given.
select
    (select noticed_at from tidemill.restored) as noticed_at,
    (select last_value from tidemill.definition_version) as given
