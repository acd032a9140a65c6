select tidemill.note_healing(%(healed)s, %(version)s, %(reason)s)
