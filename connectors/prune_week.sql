select tidemill.prune_week(%(week)s, %(keep_failures)s, %(mark)s)
