select tidemill.delete_unknown(%(owners)s, %(kinds)s) as deleted
