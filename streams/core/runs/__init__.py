"""The life of a run: dispatch, attempts, silence, cancellation, counts per job. Read `run.py`, then `life.py`."""
