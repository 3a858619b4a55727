"""Where notifications are delivered: on an asyncio loop by themselves, elsewhere when asked for (spec/sdk.md §4.3)."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol, cast

__all__ = ["AsyncioScheduler", "Scheduler", "ThreadScheduler", "current_scheduler"]


class Scheduler(Protocol):
    """Runs functions in the context that a Realm belongs to."""

    def wake(self) -> None:
        """Run the function given at creation soon, once, in the Realm's context. May be called on any thread."""

    def report(self, error: Exception) -> None:
        """An observer's callback raised, and nobody is there to catch it."""

    def close(self) -> None:
        """Run nothing any more."""


class _Unraisable:
    """An exception in the form that :func:`sys.unraisablehook` takes."""

    object = None
    err_msg = "an observer of a Realm raised an exception"

    def __init__(self, error: Exception) -> None:
        self.exc_type = type(error)
        self.exc_value = error
        self.exc_traceback = error.__traceback__


class ThreadScheduler:
    """A plain thread: nothing runs by itself; ``refresh``, ``pump`` and write transactions deliver."""

    def wake(self) -> None:
        """Nothing to do."""

    def report(self, error: Exception) -> None:
        """Nobody can catch it here: it goes to :func:`sys.unraisablehook`."""
        sys.unraisablehook(cast("sys.UnraisableHookArgs", _Unraisable(error)))

    def close(self) -> None:
        """Nothing to do."""


class AsyncioScheduler:
    """An event loop: a round runs as one of its callbacks."""

    def __init__(self, loop: asyncio.AbstractEventLoop, run: Callable[[], Any]) -> None:
        self._loop = loop
        self._run = run
        self._guard = threading.RLock()  # a finalizer may close it in the middle
        self._scheduled = False
        self._open = True

    def wake(self) -> None:
        with self._guard:
            if self._scheduled or not self._open:
                return
            self._scheduled = True
        try:
            self._loop.call_soon_threadsafe(self._callback)
        except RuntimeError:  # the loop was closed: nobody is left to deliver to
            self.close()

    def _callback(self) -> None:
        with self._guard:
            self._scheduled = False
            if not self._open:
                return
        self._run()

    def report(self, error: Exception) -> None:
        self._loop.call_exception_handler({"message": "an observer of a Realm raised an exception", "exception": error})

    def close(self) -> None:
        with self._guard:
            self._open = False


def current_scheduler(run: Callable[[], Any]) -> Scheduler:
    """The scheduler of where this is called: of the running event loop, or of the thread."""
    try:
        return AsyncioScheduler(asyncio.get_running_loop(), run)
    except RuntimeError:
        return ThreadScheduler()
