"""Log lines as facts: one event with its fields, JSON where nobody reads along."""

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import Processor


def configure(style: str, stream: TextIO | None = None) -> None:
    """`style`: `json`, `text`, or `auto` for text on a terminal and JSON elsewhere."""
    out = stream or sys.stderr
    text = style == "text" or (style == "auto" and out.isatty())
    last: Processor = (
        structlog.dev.ConsoleRenderer(colors=out.isatty()) if text else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
