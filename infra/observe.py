"""Prometheus as a part of the local stack."""

from __future__ import annotations

from pathlib import Path

from infra.part import Part
from infra.ready import http_status


def part(data: Path, port: int, program: str, configuration: Path) -> Part:
    """It listens on 127.0.0.1, and keeps its samples below the data folder."""
    return Part(
        name="prometheus",
        argv=(
            program,
            f"--config.file={configuration}",
            f"--storage.tsdb.path={data / 'prometheus' / 'samples'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ),
        log=data / "logs" / "prometheus.log",
        port=port,
        is_ready=lambda: http_status(port, "/-/ready") == 200,
        stop_seconds=5,
    )
