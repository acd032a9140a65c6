"""What a request does, exactly once: run, cancel, rerun, mark, backfill. Read `once.py`, then `orders.py`."""
