-- The roles of this deployment.
select kind, name from tidemill.roles
