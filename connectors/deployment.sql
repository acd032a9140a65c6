select id::text from tidemill.deployment
