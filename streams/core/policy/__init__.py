"""Pure decisions on values: catch-up, overlap, retries, promotion. Read `catchup.py` first."""
