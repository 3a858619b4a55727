"""The server's log: one line per event, as text or as JSON, without secrets (spec/http-api.md §12, threat 30)."""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Any, Final

__all__ = ["configure_logging", "redact"]

_SECRETS = re.compile(
    r"(?P<name>baas_at|baas_request|access_token|refresh_token|password|authorization|token)"
    r"(?P<sign>[\"']?\s*[=:]\s*(?:bearer\s+)?[\"']?)(?P<value>[^\s\"'&,}]+)",
    re.IGNORECASE,
)
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_CONTROL = {code: f"\\x{code:02x}" for code in [*range(32), 127] if code != 10}

_FORMAT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def redact(text: str) -> str:
    """The text without tokens and passwords, and without control characters that could forge a line."""
    text = _SECRETS.sub(lambda match: f"{match['name']}{match['sign']}…", text)
    return _JWT.sub("…", text).translate(_CONTROL)


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def configure_logging(level: str, as_json: bool) -> None:
    """Send the log of this process to standard error. Called by ``syncline serve``, never when mounted."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if as_json else _TextFormatter(_FORMAT))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # uvicorn's lines about connections contain whole URLs, which contain tokens.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
