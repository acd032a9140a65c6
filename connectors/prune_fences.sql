select tidemill.prune_fences(%(older_than)s)
