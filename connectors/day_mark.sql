select tidemill.day_mark(%(day)s)
