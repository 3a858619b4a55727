"""The end of a program: managers close within five seconds, and say what was not uploaded (spec/sessions.md §14.4).

Nothing is lost by it: what was not uploaded is in the files, and is sent the next time that they are opened.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from syncline.errors import SynclineError
from syncline.sync.diagnostics import file_diagnostics

if TYPE_CHECKING:
    from syncline.sync.manager import SyncManager
    from syncline.sync.session_core import SessionCore

__all__ = ["EXIT_SECONDS", "close_at_exit", "warn_of_unsent"]

logger = logging.getLogger("syncline.sync")

EXIT_SECONDS: Final = 4.0
"""All managers of a process together hold up its end for so long at most: with all else that ends then, five seconds
are enough (spec/sessions.md §14.4)."""

_LOOKING_SECONDS: Final = 1.0
"""Counting what is unsent takes so long at most; files that are left then are named without numbers."""

_managers: weakref.WeakSet[SyncManager] = weakref.WeakSet()
_guard = threading.Lock()


def close_at_exit(manager: SyncManager) -> None:
    """Have the manager closed at the end of the program, if it still exists then."""
    with _guard:
        if not _managers:
            atexit.unregister(_close_all)  # again: what was registered last is done first
            atexit.register(_close_all)
        _managers.add(manager)


def _close_all() -> None:
    deadline = time.monotonic() + EXIT_SECONDS
    for manager in list(_managers):
        manager.close(max(0.0, deadline - time.monotonic()))


def _forget_inherited() -> None:
    """A forked child has nothing to close."""
    global _guard
    _guard = threading.Lock()
    _managers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited)


def warn_of_unsent(cores: Iterable[SessionCore]) -> None:
    """Log a warning for every file with changes that the server has not acknowledged."""
    deadline = time.monotonic() + _LOOKING_SECONDS
    for core in cores:
        if time.monotonic() > deadline:
            logger.warning("%s: there was no time to see whether everything is uploaded", core.path)
            continue
        try:
            file = file_diagnostics(core.file)
        except (SynclineError, OSError) as error:
            logger.warning("%s: cannot see whether everything is uploaded: %s", core.path, error)
            continue
        if file.pending_changes:
            logger.warning(
                "%s: %d %s with %d bytes not uploaded yet; kept in the file and sent when it is opened again",
                core.path,
                file.pending_changes,
                "change" if file.pending_changes == 1 else "changes",
                file.pending_bytes,
            )
