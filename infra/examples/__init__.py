"""Puts small scripts and their data at `s3://<bucket>/examples/`, so that a first job is one SQL statement."""

from __future__ import annotations

from pathlib import Path

from connectors.objects import Objects
from schemas.settings import Connections

FOLDER = Path(__file__).parent


def put(connections: Connections) -> list[str]:
    """Make the bucket if it is missing, and return the URIs of the examples."""
    store = Objects(connections)
    store.make_bucket()
    found = sorted(path for path in FOLDER.iterdir() if path.suffix in {".sh", ".csv"})
    return [store.put(f"examples/{path.name}", path.read_bytes()) for path in found]
