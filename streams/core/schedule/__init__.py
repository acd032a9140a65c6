"""When a job is due: the grammar of schedules, time zones, occurrences, timers. Read `occurrences.py` first."""
