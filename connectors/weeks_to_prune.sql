select * from tidemill.weeks_to_prune(%(history_ttl)s, %(failed_history_ttl)s)
