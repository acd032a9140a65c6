"""The dashboards, one module each."""

from __future__ import annotations

from infra.grafana.boards import dag, executors, job, overview, pipeline, tenants

ALL = (
    overview.DASHBOARD,
    job.DASHBOARD,
    dag.DASHBOARD,
    executors.DASHBOARD,
    pipeline.DASHBOARD,
    tenants.DASHBOARD,
)
