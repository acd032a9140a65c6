"""The sink and its retention log in to Postgres with the role of the sink, as in a deployment."""

from __future__ import annotations

import pytest

from connectors.roles import DEFAULT_PREFIX
from infra.process_roles import dsn_as


@pytest.fixture
def sink_dsn(tables_dsn):
    return dsn_as(tables_dsn, f"{DEFAULT_PREFIX}sink")


@pytest.fixture
def place(place, sink_dsn):
    return place.model_copy(update={"postgres_dsn": sink_dsn})
