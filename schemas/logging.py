"""Configures logging in every process: key=value lines on stderr, the event's name first."""

from __future__ import annotations

import logging
import sys

import structlog

KAFKA_CLIENT = "librdkafka"
"""The logger of the Kafka client, so that it does not write to stderr itself."""
_RENDERING = (
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    structlog.processors.LogfmtRenderer(key_order=["event", "timestamp", "level"]),
)


def log_to_stderr() -> None:
    """Call it once, in `main()`."""
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, *_RENDERING],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Warnings of libraries, such as Faust's about a rebalance.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _as_an_event, *_RENDERING],
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)


def _as_an_event(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {**line, "event": "library_said", "said": str(line["event"])}
