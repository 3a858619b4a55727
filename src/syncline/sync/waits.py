"""Waiting until everything is uploaded or downloaded (spec/sessions.md §8)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum

from syncline.sync.delivery import Courier

__all__ = ["Wait", "WaitKind", "at_once"]


class WaitKind(Enum):
    """What a wait is for."""

    UPLOAD = "upload"
    DOWNLOAD = "download"


def at_once(thunk: Callable[[], object]) -> None:
    """The courier of callbacks that are ours, short and harmless: run where the wait ends."""
    thunk()


class Wait:
    """One wait; ``callback(error)`` is called exactly once, with None for success.

    ``target`` is the local version that must be uploaded, ``mark`` the number of the MARK that must be answered; both
    are set by the protocol session that carries the wait.
    """

    def __init__(
        self, kind: WaitKind, callback: Callable[[Exception | None], object], deliver: Courier = at_once
    ) -> None:
        self.kind = kind
        self.is_internal = False
        """Ours, of a dying session: errors that leave the session as it is do not end it."""
        self.target = 0
        self.mark = 0
        self._callback = callback
        self._deliver = deliver
        self._lock = threading.Lock()
        self._done = False

    @property
    def is_done(self) -> bool:
        """Whether it ended or was forgotten."""
        return self._done

    def forget(self) -> None:
        """Nobody waits any more: the callback is not called."""
        with self._lock:
            self._done = True

    def finish(self, error: Exception | None) -> None:
        """End the wait; only the first call counts."""
        with self._lock:
            if self._done:
                return
            self._done = True
        self._deliver(lambda: self._callback(error))
