select tidemill.ensure_partitions(%(days)s)
