"""Telling observers of commits, also of those that other processes make (spec/sdk.md §13.8).

A commit of this process rings its file's :class:`CommitBell` directly. For other processes one thread per process looks
at SQLite's ``data_version`` of every file that has observers, 20 times a second: microseconds per file and look.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

__all__ = ["CommitBell"]

_INTERVAL: Final = 0.05
_log = logging.getLogger("syncline.storage")


class CommitBell:
    """The observers of one file. ``look`` gives the newest version on disk.

    While there are observers, ``attend`` is called with it after every look of the thread that watches; both happen in
    a ``visit``.
    """

    def __init__(
        self,
        look: Callable[[], int],
        version: int,
        attend: Callable[[int], None] = lambda version: None,
        visit: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._look = look
        self._attend = attend
        self._visit = visit
        self._version = version
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._next_token = 0
        self._changed = threading.Condition()
        self._open = True

    def ring(self, version: int) -> None:
        """There is a new version: wake who waits, call who observes. An older version than known is ignored."""
        with self._changed:
            if version <= self._version:
                return
            self._version = version
            callbacks = list(self._callbacks.values())
            self._changed.notify_all()
        for callback in callbacks:
            try:
                callback(version)
            except Exception:  # noqa: BLE001 - the commit is done; one broken observer must not silence the others
                _log.exception("an observer of commits failed")

    def look(self) -> None:
        """Notice what other processes committed."""
        self.ring(self._look())

    def attend(self) -> None:
        """:meth:`look`, on the thread that watches."""
        with self._visit():
            self.look()
            self._attend(self._version)

    def observe(self, callback: Callable[[int], None]) -> Callable[[], None]:
        """Call ``callback(version)`` after every commit from now on; returns what ends that."""
        with self._changed:
            token = self._next_token
            self._next_token += 1
            self._callbacks[token] = callback

        def remove() -> None:
            with self._changed:
                self._callbacks.pop(token, None)
                unwatched = not self._callbacks
            if unwatched:
                _watcher.remove(self)

        _watcher.add(self)
        return remove

    def wake(self) -> None:
        """Whoever waits looks around."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, after: int, timeout: float | None, enough: Callable[[], bool] | None = None) -> int | None:
        """Wait for a version newer than ``after``; None when ``timeout`` seconds went by, or the file was closed.

        None too when ``enough()`` is true.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._open:
            self.look()
            with self._changed:
                if self._version > after:
                    return self._version
                pause = _INTERVAL if deadline is None else min(_INTERVAL, deadline - time.monotonic())
                if pause <= 0 or (enough is not None and enough()):
                    return None
                self._changed.wait(pause)
        return None

    def close(self) -> None:
        """Forget the observers, wake who waits."""
        with self._changed:
            self._open = False
            self._callbacks.clear()
            self._changed.notify_all()
        _watcher.remove(self)


class _Watcher:
    """The thread that looks at the files with observers; it runs only while there are any."""

    def __init__(self) -> None:
        self._guard = threading.RLock()  # a finalizer may close another file in the middle
        self._bells: list[CommitBell] = []
        self._running = False

    def add(self, bell: CommitBell) -> None:
        with self._guard:
            if bell not in self._bells:
                self._bells.append(bell)
            starts, self._running = not self._running, True
        if starts:  # not under the guard: the new thread may run a finalizer, which takes it, before it has started
            threading.Thread(target=self._run, name="syncline-commits", daemon=True).start()

    def remove(self, bell: CommitBell) -> None:
        with self._guard:
            if bell in self._bells:
                self._bells.remove(bell)

    def _run(self) -> None:
        while True:
            time.sleep(_INTERVAL)
            with self._guard:
                bells = list(self._bells)
                if not bells:
                    self._running = False
                    return
            for bell in bells:
                try:
                    bell.attend()
                except Exception:  # noqa: BLE001 - a file that cannot be read now may be readable at the next look
                    _log.debug("cannot look for commits of other processes", exc_info=True)


_watcher = _Watcher()


def forget_inherited() -> None:
    """After fork: the child has no watcher thread and no files."""
    global _watcher
    _watcher = _Watcher()
