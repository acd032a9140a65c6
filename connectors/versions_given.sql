-- The last version that the database gave, and whether it is a restored backup that is not repaired.
select last_value as given, exists (select from tidemill.restored) as is_restored from tidemill.definition_version
