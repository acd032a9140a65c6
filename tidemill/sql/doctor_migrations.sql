-- What was applied to this database.
select name, sha256 from tidemill.migrations
