select tidemill.make_week(%(day)s)
