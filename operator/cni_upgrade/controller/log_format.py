"""What a line of the controller's log looks like: text for people, JSON for log collectors."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from enum import StrEnum

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class LogFormat(StrEnum):
    """The choices of `--log-format`."""

    TEXT = "text"
    JSON = "json"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and error with a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; a line break in a message or a traceback is escaped."""
        at = datetime.fromtimestamp(record.created, UTC)
        told = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


def set_up(chosen: LogFormat) -> None:
    """Send the log to standard error in that format."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if chosen is LogFormat.JSON else logging.Formatter(_TEXT))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # Warnings of Python itself are lines of their own otherwise, and no JSON.
    logging.captureWarnings(True)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    # A line for each probe of the kubelet would bury all others.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
