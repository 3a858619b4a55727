"""Who may send next: sessions that want to, in order of enlistment (spec/wire-protocol.md §6.5)."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

__all__ = ["Turns"]

Item = TypeVar("Item")


class Turns(Generic[Item]):
    """A queue in which everyone stands at most once."""

    def __init__(self) -> None:
        self._queue: deque[Item] = deque()
        self._waiting: set[Item] = set()

    def enlist(self, item: Item) -> None:
        """Join at the tail, unless waiting already."""
        if item not in self._waiting:
            self._waiting.add(item)
            self._queue.append(item)

    def take(self) -> Item | None:
        """Who is first, and leaves the queue by it; None if nobody waits."""
        if not self._queue:
            return None
        item = self._queue.popleft()
        self._waiting.discard(item)
        return item

    def clear(self) -> None:
        """Everybody leaves."""
        self._queue.clear()
        self._waiting.clear()
