select tidemill.note_comparison(%(differing)s, %(refusal)s, %(number)s)
