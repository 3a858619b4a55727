"""The connection state of one session, and those who watch it or its end (spec/sessions.md §7.1–§7.3).

A change is queued for the notifier thread at the moment it happens, with those who watch then: every observer sees a
chain without gaps, whoever changes the state, and none of them runs under a lock.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from syncline.realm.callbacks import Courier, SerialThread
from syncline.sync.states import ConnectionState

__all__ = ["ConnectionWatch", "StateObserver"]

StateObserver = Callable[[ConnectionState, ConnectionState], Any]


class ConnectionWatch:
    """Changed and observed under the lock of its session; read on any thread."""

    def __init__(self, notify_thread: SerialThread) -> None:
        self.state = ConnectionState.DISCONNECTED
        #: when the state last changed, in seconds of Unix time
        self.since = time.time()
        self._notify_thread = notify_thread
        self._observers: dict[int, tuple[StateObserver, Courier]] = {}
        self._numbers = itertools.count(1)
        self._end_calls: dict[int, Callable[[], object]] = {}

    def observe(self, callback: StateObserver, deliver: Courier) -> int:
        """Call back at each change from now on; a number for :meth:`stop_observing`."""
        number = next(self._numbers)
        self._observers[number] = (callback, deliver)
        return number

    def stop_observing(self, number: int) -> None:
        """No more calls; unknown numbers are ignored. Takes no lock: finalizers of tokens call it."""
        self._observers.pop(number, None)

    def change(self, new: ConnectionState) -> None:
        """The state is ``new``; if it was before, nothing happens."""
        old = self.state
        if old is new:
            return
        self.state = new
        self.since = time.time()
        present = list(self._observers)
        if present:
            self._notify_thread.submit(lambda: self._notify(present, old, new))

    def at_end(self, call: Callable[[], object]) -> int:
        """``call`` is among those of :meth:`end`; a number for :meth:`forget_end`."""
        number = next(self._numbers)
        self._end_calls[number] = call
        return number

    def forget_end(self, number: int) -> None:
        """It is not; unknown numbers are ignored."""
        self._end_calls.pop(number, None)

    def end(self) -> list[Callable[[], object]]:
        """The session is invalid: what is to be called, once the lock is free."""
        calls = list(self._end_calls.values())
        self._end_calls.clear()
        return calls

    def _notify(self, numbers: list[int], old: ConnectionState, new: ConnectionState) -> None:
        for number in numbers:
            observer = self._observers.get(number)
            if observer is not None:
                callback, deliver = observer
                deliver(partial(self._call, number, callback, old, new))

    def _call(self, number: int, callback: StateObserver, old: ConnectionState, new: ConnectionState) -> Any:
        return callback(old, new) if number in self._observers else None
