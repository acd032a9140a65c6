select tidemill.append_again(%(owners)s, %(versions)s)
