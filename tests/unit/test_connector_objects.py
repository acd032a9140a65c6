"""An S3 that cannot even be addressed is one that did not do what it was asked."""

from __future__ import annotations

import pytest

from connectors.objects import Objects, ObjectsError
from schemas.settings import Connections


@pytest.mark.parametrize("endpoint", ["s3.example.org:9000", "http://", "http://a b"])
def test_an_endpoint_that_is_no_address_is_named(endpoint: str) -> None:
    with pytest.raises(ObjectsError, match=endpoint):
        Objects(Connections(s3_endpoint=endpoint))
