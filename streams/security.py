"""The security options of librdkafka in the words of Faust and aiokafka, so that they are set once."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import faust


def credentials(options: Mapping[str, Any]) -> Any:
    """For a Faust app; None for a plain connection."""
    context = _context(options)
    if _protocol(options).startswith("SASL"):
        return faust.SASLCredentials(
            username=options.get("sasl.username"),
            password=options.get("sasl.password"),
            mechanism=options.get("sasl.mechanism", "PLAIN"),
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None


def admin_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """For a client of aiokafka."""
    protocol = _protocol(options)
    found: dict[str, Any] = {"security_protocol": protocol, "ssl_context": _context(options)}
    if protocol.startswith("SASL"):
        found["sasl_mechanism"] = options.get("sasl.mechanism", "PLAIN")
        found["sasl_plain_username"] = options.get("sasl.username")
        found["sasl_plain_password"] = options.get("sasl.password")
    return found


def _protocol(options: Mapping[str, Any]) -> str:
    return str(options.get("security.protocol", "PLAINTEXT")).upper()


def _context(options: Mapping[str, Any]) -> ssl.SSLContext | None:
    if not _protocol(options).endswith("SSL"):
        return None
    context = ssl.create_default_context(cafile=options.get("ssl.ca.location"))
    if options.get("ssl.certificate.location"):
        context.load_cert_chain(options["ssl.certificate.location"], options.get("ssl.key.location"))
    return context
