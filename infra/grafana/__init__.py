"""Grafana's dashboards as code: `make dashboards` writes infra/grafana/dashboards."""
