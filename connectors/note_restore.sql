select tidemill.note_restore(%(applied)s)
