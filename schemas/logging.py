"""How every process, and every library in it, logs: one key=value line per effect to stderr, the event's name first."""

from __future__ import annotations

import logging
import sys

import structlog

KAFKA_CLIENT = "librdkafka"
"""The name under which the Kafka client logs, instead of writing to stderr itself."""
_LOOK = (
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    structlog.processors.LogfmtRenderer(key_order=["event", "timestamp", "level"]),
)


def log_to_stderr() -> None:
    """Called once, in `main()`."""
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, *_LOOK],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # What libraries have to say, such as Faust's of a rebalance.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _as_an_event, *_LOOK],
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)


def _as_an_event(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {**line, "event": "library_said", "said": str(line["event"])}
