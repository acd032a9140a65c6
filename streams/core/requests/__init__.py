"""What a request does, exactly once: run, cancel, rerun, mark, backfill. Read `apply.py`, then `carry_out.py`."""
