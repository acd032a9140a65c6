"""When a node of a DAG run starts or never runs, and how a DAG run ends. Read `advance.py`, then `epoch.py`."""
