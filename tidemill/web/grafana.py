"""The address of a dashboard in Grafana for a page: the way back from the panels' links to the pages. Pure."""

from __future__ import annotations

from urllib.parse import urlencode

from tidemill.web.ask import Ask

DASHBOARDS = {"dag_id": "tidemill-dag", "job_id": "tidemill-job"}
"""By the part of a path that names a job or DAG: the dashboard, whose variable has the same name."""
BY_PATH = {"/fleet": "tidemill-executors", "/problems": "tidemill-pipeline"}
FIRST = "tidemill-overview"


def dashboard_url(ask: Ask) -> str | None:
    """None: no Grafana is set."""
    if ask.grafana is None:
        return None
    address = f"{ask.grafana.rstrip('/')}/d"
    for part, dashboard in DASHBOARDS.items():
        if part in ask.parts:
            return f"{address}/{dashboard}?{urlencode({f'var-{part}': ask.parts[part]})}"
    return f"{address}/{BY_PATH.get(ask.path, FIRST)}"
