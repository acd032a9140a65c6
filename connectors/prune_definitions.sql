select tidemill.prune_definitions(%(older_than)s)
