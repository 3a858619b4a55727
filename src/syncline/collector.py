"""Python's cyclic garbage collector, out of the way of bulk work.

Keys, links and times are tuples and small objects that the collector looks through again and again while a large
changeset is decoded or applied, and finds nothing: none of them can be part of a cycle. Pausing it for the time of one
bounded batch makes decoding such changesets about twice as fast (docs/explanation/performance.md).

The collector is the whole process's, so pauses are counted, on all threads together: it runs again when the last one
ends, and only if it ran before the first one began.
"""

from __future__ import annotations

import gc
import os
import threading
from typing import Final

__all__ = ["COLLECTOR_PAUSED", "CollectorPause"]


class CollectorPause:
    """``with COLLECTOR_PAUSED:``: the collector rests until the last such block of the process has ended.

    Blocks may be nested and may overlap on any threads; an exception ends one like anything else. Keep a block to one
    bounded batch of work that makes no cycles. A program that switches the collector on or off itself while a block is
    running has its way until the block ends, which puts back what was found when the first one began.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._was_enabled = False

    def __enter__(self) -> None:
        with self._lock:
            if self._running == 0:
                self._was_enabled = gc.isenabled()
                gc.disable()
            self._running += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._running -= 1
            if self._running == 0 and self._was_enabled:
                gc.enable()

    def forget(self) -> None:
        """End all pauses: those of threads that a forked child does not have."""
        self._lock = threading.Lock()
        if self._running and self._was_enabled:
            gc.enable()
        self._running = 0


#: The one pause of this process.
COLLECTOR_PAUSED: Final = CollectorPause()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=COLLECTOR_PAUSED.forget)
