"""The core: how time, runs and DAGs work, as pure functions over one state. Read `step.py` first, then `tick.py`."""
