select tidemill.prune_day(%(day)s, %(keep_failures)s, %(mark)s)
