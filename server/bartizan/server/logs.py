"""Logs: structured, to standard error, without content.

Errors are logged by type and place. Their texts are left out, because what an error quotes may be
what a sender sent.
"""

import asyncio
import logging
import sys
import traceback
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_NOISY = ("uvicorn", "asyncio", "sqlalchemy", "alembic", "apscheduler", "presidio-analyzer")
"""Libraries that narrate; their warnings are kept."""

_FRAMES = 8
"""The innermost frames of an error: enough to find the line."""


def configure(level: str = "info", *, json: bool | None = None) -> None:
    """Sends all logs, those of the libraries included, to standard error.

    As JSON, one object a line, unless standard error is a terminal or `json` says otherwise.
    """
    as_json = not sys.stderr.isatty() if json is None else json
    shared = _shared()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _last(as_json)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def log_loop_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Logs what the event loop could give to nobody; for `loop.set_exception_handler`."""
    error = context.get("exception")
    structlog.stdlib.get_logger("asyncio").error(
        "an error in the background reached nobody", exc_info=error
    )


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_error_text,
    ]


def _last(as_json: bool) -> Processor:
    if as_json:
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())


def hide_error_text(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replaces an exception by its type and the places it came through."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    elif isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["error"] = f"{type(error).__module__}.{type(error).__qualname__}"
        frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
        event["at"] = [f"{frame.filename}:{frame.lineno}" for frame in frames]
    return event
