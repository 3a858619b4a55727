"""From the client's log levels to :mod:`logging` (spec/sessions.md §14.2).

Everything is logged below ``syncline.sync``: by ``.session``, ``.reset`` and ``.network``, and by itself. Level and
target are of the process, as those of ``logging`` are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from syncline.errors import ConfigurationError
from syncline.sync.states import SyncLogLevel

__all__ = ["LogFunction", "current_level", "current_logger", "set_default_level", "set_level", "set_logger"]

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
    SyncLogLevel.ALL: _TRACE,
}

_chosen = SyncLogLevel.INFO


class _Forwarder(logging.Handler):
    """Takes our records to the application's function or logger, on the thread that logs and under no lock."""

    def __init__(self, target: LogFunction | logging.Logger) -> None:
        super().__init__()
        self.target = target

    def handle(self, record: logging.LogRecord) -> bool:
        """As of the base class, which holds a lock while it emits."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """What the target raises is told to standard error, as for every handler of ``logging``."""
        try:
            if isinstance(self.target, logging.Logger):
                if self.target.isEnabledFor(record.levelno):
                    self.target.handle(record)
            else:
                self.target(_level_of(record.levelno), self.format(record))
        except Exception:  # noqa: BLE001 - the application's function may raise anything
            self.handleError(record)


def _level_of(number: int) -> SyncLogLevel:
    """The level whose messages have this number of ``logging``, or the next one below it."""
    levels = [level for level in SyncLogLevel if level is not SyncLogLevel.OFF]
    return next((level for level in levels if number >= _LEVELS[level]), SyncLogLevel.ALL)


def set_default_level() -> None:
    """INFO, unless the program has set a level, or wants to see more of everything (spec/sessions.md §14.1)."""
    if _ROOT.level == logging.NOTSET and _ROOT.getEffectiveLevel() > logging.INFO:
        set_level(SyncLogLevel.INFO)


def set_level(level: SyncLogLevel) -> None:
    """Emit messages of ``level`` and above."""
    global _chosen
    _chosen = level
    _ROOT.setLevel(_LEVELS[level])


def current_level() -> SyncLogLevel:
    """The level that counts now; if it was set by means of ``logging``, the finest whose messages pass."""
    number = _ROOT.getEffectiveLevel()
    if number == _LEVELS[_chosen]:  # tells TRACE from ALL
        return _chosen
    return max((level for level in SyncLogLevel if _LEVELS[level] >= number), default=SyncLogLevel.OFF)


def current_logger() -> LogFunction | logging.Logger | None:
    """What :func:`set_logger` was given."""
    return next((handler.target for handler in _ROOT.handlers if isinstance(handler, _Forwarder)), None)


def set_logger(target: LogFunction | logging.Logger | None) -> None:
    """Send all messages to ``target`` and nowhere else, but to handlers of ``syncline.sync`` itself; None: no more.

    Raises ConfigurationError for one of our own loggers, whose messages would go in circles.
    """
    if isinstance(target, logging.Logger) and (target.name + ".").startswith("syncline.sync."):
        raise ConfigurationError(f"messages of syncline.sync cannot be sent to {target.name}: it is a logger of theirs")
    for handler in list(_ROOT.handlers):
        if isinstance(handler, _Forwarder):
            _ROOT.removeHandler(handler)
    _ROOT.propagate = target is None
    if target is not None:
        _ROOT.addHandler(_Forwarder(target))
