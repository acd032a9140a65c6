select name::text from tidemill.deployment
