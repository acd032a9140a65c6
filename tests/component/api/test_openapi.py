"""The document says what the API does: made requests find no other answer, and no failure of the server."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from openapi_spec_validator import validate
from schemathesis.checks import CHECKS, load_all_checks

from tidemill.api.openapi import document
from tidemill.api.routes import ROUTES

load_all_checks()
EXAMPLES = 8
BEYOND_A_SCHEMA = [each for each in CHECKS.get_all() if each.__name__ == "positive_data_acceptance"]
"""What the database refuses, such as a schedule that never fires, is not in the document."""


@pytest.fixture(scope="module")
def described(site):
    return schemathesis.openapi.from_url(f"{site.origin}/v1/openapi.json")


def test_the_document_is_openapi():
    validate(document(ROUTES))


@pytest.mark.parametrize("route", [each for each in ROUTES if each.handle], ids=lambda each: each.summary)
def test_what_is_sent_is_answered_as_the_document_says(described, route):
    operation = described[f"/v1{route.path}"][route.method]

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def send(case):
        case.query = {name: value for name, value in (case.query or {}).items() if name != "wait"}
        case.headers = {name: value for name, value in (case.headers or {}).items() if name.lower() != "prefer"}
        case.call_and_validate(excluded_checks=BEYOND_A_SCHEMA)

    send()
