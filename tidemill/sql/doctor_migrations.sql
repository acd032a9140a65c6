-- The migrations that were applied to this database.
select name, sha256 from tidemill.migrations
