"""Schedulers: how a function is run in the context that a Realm belongs to (spec/sdk.md §4.3).

Chosen by themselves: a Realm that is opened while an event loop runs belongs to the loop, any other to its thread. An
application with another kind of loop brings its own: whatever has the three methods of :class:`Scheduler` will do,
``Realm.open(config, scheduler=…)``. For Tk and Qt see :mod:`syncline.realm.gui_schedulers`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from threading import get_ident
from typing import Protocol, runtime_checkable

__all__ = ["AsyncioScheduler", "FrozenScheduler", "Scheduler", "ThreadScheduler", "current_scheduler"]


@runtime_checkable
class Scheduler(Protocol):
    """The context of a Realm: one thread, and the loop on it that functions can be given to."""

    def is_on_thread(self) -> bool:
        """Whether the caller runs in the context. May be called on any thread."""

    def can_invoke(self) -> bool:
        """Whether functions run by themselves. Where not, nothing is delivered until somebody asks for it."""

    def invoke(self, function: Callable[[], object]) -> None:
        """Have ``function`` run in the context soon, after those given before; never at once.

        Called on any thread, and by finalizers in the middle of anything: it must not wait for other threads. Raises
        RuntimeError where the loop has ended.
        """


class AsyncioScheduler:
    """An event loop: functions run as its callbacks."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """``loop``: one that runs, or will run, on this thread; by default the running one."""
        self.loop = asyncio.get_running_loop() if loop is None else loop
        self._thread = get_ident()

    def is_on_thread(self) -> bool:
        return get_ident() == self._thread

    def can_invoke(self) -> bool:
        return not self.loop.is_closed()

    @property
    def is_suspended(self) -> bool:
        """Whether another loop runs on this thread, so that functions wait until this one runs again."""
        try:
            return asyncio.get_running_loop() is not self.loop
        except RuntimeError:
            return False

    def invoke(self, function: Callable[[], object]) -> None:
        self.loop.call_soon_threadsafe(function)


class ThreadScheduler:
    """A plain thread: nothing runs by itself; ``refresh``, ``pump`` and write transactions deliver.

    Functions wait in a queue that ``refresh`` and ``pump`` empty.
    """

    def __init__(self) -> None:
        self._thread = get_ident()
        self._queue: deque[Callable[[], object]] = deque()

    def is_on_thread(self) -> bool:
        return get_ident() == self._thread

    def can_invoke(self) -> bool:
        return False

    def invoke(self, function: Callable[[], object]) -> None:
        self._queue.append(function)

    @property
    def has_work(self) -> bool:
        """Whether functions wait."""
        return bool(self._queue)

    def run(self) -> None:
        """Run what waits now; what is added meanwhile waits for the next time."""
        for _ in range(len(self._queue)):
            self._queue.popleft()()


class FrozenScheduler:
    """Of a frozen Realm: every thread is its own, and nothing is ever delivered."""

    def is_on_thread(self) -> bool:
        return True

    def can_invoke(self) -> bool:
        return False

    def invoke(self, function: Callable[[], object]) -> None:
        raise RuntimeError("a frozen Realm never changes: nothing can be scheduled on it")


def current_scheduler() -> Scheduler:
    """The scheduler of where this is called: of the running event loop, or of the thread."""
    try:
        return AsyncioScheduler(asyncio.get_running_loop())
    except RuntimeError:
        return ThreadScheduler()
