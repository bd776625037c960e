"""Log lines of every process: one JSON object each, with request and run ids, secrets masked by value."""

import json
import logging
import sys
from collections.abc import Callable, MutableMapping
from contextlib import AbstractContextManager
from typing import Any

import orjson
import structlog

Redact = Callable[[str], str]


def configure(process: str, redact: Redact, *, level: int = logging.INFO) -> None:
    """Send structlog and the standard library's loggers to standard error as JSON lines."""

    def render(_: Any, __: str, line: MutableMapping[str, Any]) -> str:
        try:
            text = orjson.dumps(line, default=str).decode()
        except orjson.JSONEncodeError:  # half a surrogate pair, or a number that is too large
            text = json.dumps(line, default=str)
        return redact(text)

    shared = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("uvicorn.access", "httpx2", "httpcore2", "docker", "urllib3", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(process=process)


def bind(**ids: str) -> AbstractContextManager[Any]:
    """Ids that stand on every line logged inside, by this task and what it awaits."""
    return structlog.contextvars.bound_contextvars(**ids)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    return structlog.stdlib.get_logger(name)
