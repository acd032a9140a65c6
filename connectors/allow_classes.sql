select tidemill.allow_classes(%(names)s)
