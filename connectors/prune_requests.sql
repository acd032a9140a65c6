select tidemill.prune_requests(%(older_than)s)
