"""Translates the security options of librdkafka for Faust and aiokafka, so that operators set them once."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import faust

from schemas.errors import TidemillError

_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class UnsupportedSecurityError(TidemillError):
    """TIDEMILL_KAFKA_OPTIONS has a security option that stream workers do not support."""


def credentials(options: Mapping[str, Any]) -> Any:
    """For a Faust app; None for a plain connection."""
    context = _context(options)
    if _protocol(options).startswith("SASL"):
        return faust.SASLCredentials(
            username=options.get("sasl.username"),
            password=options.get("sasl.password"),
            mechanism=_mechanism(options),
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None


def admin_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """For a client of aiokafka."""
    protocol = _protocol(options)
    found: dict[str, Any] = {"security_protocol": protocol, "ssl_context": _context(options)}
    if protocol.startswith("SASL"):
        found["sasl_mechanism"] = _mechanism(options)
        found["sasl_plain_username"] = options.get("sasl.username")
        found["sasl_plain_password"] = options.get("sasl.password")
    return found


def _protocol(options: Mapping[str, Any]) -> str:
    return str(options.get("security.protocol", "PLAINTEXT")).upper()


def _mechanism(options: Mapping[str, Any]) -> str:
    """The option has two names in librdkafka. Raises `UnsupportedSecurityError`."""
    name = str(options.get("sasl.mechanisms") or options.get("sasl.mechanism") or "PLAIN").upper()
    if name not in _MECHANISMS:
        raise UnsupportedSecurityError(
            f"TIDEMILL_KAFKA_OPTIONS has sasl.mechanism {name}; allowed are {', '.join(_MECHANISMS)}"
        )
    return name


def _context(options: Mapping[str, Any]) -> ssl.SSLContext | None:
    if not _protocol(options).endswith("SSL"):
        return None
    context = ssl.create_default_context(cafile=options.get("ssl.ca.location"), cadata=options.get("ssl.ca.pem"))
    if options.get("ssl.certificate.location"):
        own, key = options["ssl.certificate.location"], options.get("ssl.key.location")
        context.load_cert_chain(own, key, options.get("ssl.key.password"))
    if str(options.get("ssl.endpoint.identification.algorithm", "https")).lower() == "none":
        context.check_hostname = False
    return context
