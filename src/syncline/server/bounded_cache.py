"""A cache that never outgrows its budget: the entry that was not used for longest goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["BoundedCache"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """Values with a cost each. May be used by many threads."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._lock = threading.Lock()
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self.cost = 0

    def get(self, key: K) -> V | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry[0]

    def put(self, key: K, value: V, cost: int) -> None:
        """Remember the value, instead of what was there; what costs more than the whole budget is not remembered."""
        with self._lock:
            self._discard(key)
            if cost > self._budget:
                return
            self._entries[key] = (value, cost)
            self.cost += cost
            while self.cost > self._budget:
                _, (_, freed) = self._entries.popitem(last=False)
                self.cost -= freed

    def discard(self, key: K) -> None:
        with self._lock:
            self._discard(key)

    def _discard(self, key: K) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.cost -= entry[1]

    def __len__(self) -> int:
        return len(self._entries)
