"""Rounds of notifications in the context of a Realm: asked for often, run once (spec/sdk.md §4.2, §4.3)."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any, Final, cast

from syncline.realm.schedulers import AsyncioScheduler, Scheduler, ThreadScheduler

__all__ = ["Delivery"]


_MESSAGE: Final = "an observer of a Realm raised an exception"

#: The interpreter's own hook takes nothing but this type, which has no public name.
_Unraisable: Final = cast(
    "Callable[[tuple[Any, ...]], sys.UnraisableHookArgs]",
    next(each for each in tuple.__subclasses__() if each.__name__ == "UnraisableHookArgs"),
)


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
            self.scheduler.loop.call_exception_handler({"message": _MESSAGE, "exception": error})
        else:
            sys.unraisablehook(_Unraisable((type(error), error, error.__traceback__, _MESSAGE, None)))

    def close(self) -> None:
        """Run nothing any more."""
        with self._guard:
            self._open = False
