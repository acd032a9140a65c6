select * from tidemill.days_to_prune(%(history_ttl)s, %(failed_history_ttl)s)
