"""Rounds of notifications in the context of a Realm: asked for often, run once (spec/sdk.md §4.2, §4.3)."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any, cast

from syncline.realm.schedulers import AsyncioScheduler, Scheduler, ThreadScheduler

__all__ = ["Delivery"]


class _Unraisable:
    """An exception in the form that :func:`sys.unraisablehook` takes."""

    object = None
    err_msg = "an observer of a Realm raised an exception"

    def __init__(self, error: Exception) -> None:
        self.exc_type = type(error)
        self.exc_value = error
        self.exc_traceback = error.__traceback__


class Delivery:
    """``run`` in the context of one Realm, by its scheduler."""

    def __init__(self, scheduler: Scheduler, run: Callable[[], Any]) -> None:
        self.scheduler = scheduler
        self._run = run
        self._guard = threading.RLock()  # a finalizer may close it in the middle
        self._scheduled = False
        self._open = True

    def wake(self) -> None:
        """Run it soon, once, where the scheduler can. May be called on any thread."""
        if not self.scheduler.can_invoke():
            return
        with self._guard:
            if self._scheduled or not self._open:
                return
            self._scheduled = True
        try:
            self.scheduler.invoke(self._callback)
        except RuntimeError:  # the loop was closed: nobody is left to deliver to
            self.close()

    def _callback(self) -> None:
        with self._guard:
            self._scheduled = False
            if not self._open:
                return
        self._run()

    @property
    def has_work(self) -> bool:
        """Whether :meth:`drain` would run something."""
        return isinstance(self.scheduler, ThreadScheduler) and self.scheduler.has_work

    def drain(self) -> None:
        """Run what waits on a scheduler that runs nothing by itself."""
        if isinstance(self.scheduler, ThreadScheduler) and self.scheduler.has_work:
            self.scheduler.run()

    def report(self, error: Exception) -> None:
        """An observer's callback raised, and nobody is there to catch it."""
        if isinstance(self.scheduler, AsyncioScheduler):
            self.scheduler.loop.call_exception_handler({"message": _Unraisable.err_msg, "exception": error})
        else:
            sys.unraisablehook(cast("sys.UnraisableHookArgs", _Unraisable(error)))

    def close(self) -> None:
        """Run nothing any more."""
        with self._guard:
            self._open = False
