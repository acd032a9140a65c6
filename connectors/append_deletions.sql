select tidemill.append_deletions(%(owners)s, %(kinds)s)
