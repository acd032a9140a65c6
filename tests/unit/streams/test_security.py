"""The security options of librdkafka as stream workers understand them."""

from __future__ import annotations

import ssl

import pytest

from streams.security import UnsupportedSecurityError, admin_options, credentials

SASL = {"security.protocol": "SASL_SSL", "sasl.username": "me", "sasl.password": "it"}


def test_a_plain_connection_needs_none():
    assert credentials({}) is None
    assert admin_options({}) == {"security_protocol": "PLAINTEXT", "ssl_context": None}


@pytest.mark.parametrize("name", ["sasl.mechanism", "sasl.mechanisms"])
def test_the_mechanism_has_two_names(name):
    options = {**SASL, name: "SCRAM-SHA-512"}
    assert credentials(options).mechanism.value == "SCRAM-SHA-512"
    assert admin_options(options)["sasl_mechanism"] == "SCRAM-SHA-512"


def test_a_mechanism_that_stream_workers_cannot_do_is_refused_with_what_is_allowed():
    with pytest.raises(UnsupportedSecurityError, match=r"has sasl\.mechanism OAUTHBEARER; allowed are PLAIN, SCRAM"):
        credentials({**SASL, "sasl.mechanism": "OAUTHBEARER"})


def test_a_password_goes_over_tls_or_in_the_clear_as_the_protocol_says():
    assert credentials(SASL).protocol.value == "SASL_SSL"
    assert credentials({**SASL, "security.protocol": "sasl_plaintext"}).protocol.value == "SASL_PLAINTEXT"


def test_the_name_of_the_broker_is_checked_unless_told_otherwise():
    unchecked = {**SASL, "ssl.endpoint.identification.algorithm": "none"}
    assert admin_options(SASL)["ssl_context"].check_hostname
    assert not admin_options(unchecked)["ssl_context"].check_hostname
    assert admin_options(unchecked)["ssl_context"].verify_mode is ssl.CERT_REQUIRED
