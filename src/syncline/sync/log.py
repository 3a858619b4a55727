"""From the client's log levels to :mod:`logging` (spec/sessions.md §14.2)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from syncline.sync.states import SyncLogLevel

__all__ = ["LogFunction", "set_level", "set_logger"]

LogFunction = Callable[[SyncLogLevel, str], None]

_ROOT: Final = logging.getLogger("syncline.sync")
_DETAIL: Final = 15
_TRACE: Final = 5

_LEVELS: Final = {
    SyncLogLevel.OFF: logging.CRITICAL + 10,
    SyncLogLevel.FATAL: logging.CRITICAL,
    SyncLogLevel.ERROR: logging.ERROR,
    SyncLogLevel.WARN: logging.WARNING,
    SyncLogLevel.INFO: logging.INFO,
    SyncLogLevel.DETAIL: _DETAIL,
    SyncLogLevel.DEBUG: logging.DEBUG,
    SyncLogLevel.TRACE: _TRACE,
    SyncLogLevel.ALL: 1,
}


class _Forwarder(logging.Handler):
    """Takes our records to the application's function or logger."""

    def __init__(self, target: LogFunction | logging.Logger) -> None:
        super().__init__()
        self._target = target

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(self._target, logging.Logger):
            self._target.handle(record)
            return
        level = next(level for level, number in _LEVELS.items() if level and record.levelno >= number)
        self._target(level, self.format(record))


def set_level(level: SyncLogLevel) -> None:
    """Emit messages of ``level`` and above."""
    _ROOT.setLevel(_LEVELS[SyncLogLevel(level)])


def set_logger(target: LogFunction | logging.Logger | None) -> None:
    """Send all messages to ``target`` too, in place of an earlier one; it may be called from several threads."""
    for handler in list(_ROOT.handlers):
        if isinstance(handler, _Forwarder):
            _ROOT.removeHandler(handler)
    if target is not None:
        _ROOT.addHandler(_Forwarder(target))
