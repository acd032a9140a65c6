"""What a new version of a job or DAG changes, and when a definition is not applied. Read `apply.py` first."""
