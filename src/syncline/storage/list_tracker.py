"""Which elements of a list a recovery has inserted, and where they are in both lists (spec/sessions.md §12.11)."""

from __future__ import annotations

__all__ = ["ListTracker"]


class _Known:
    """An element inserted by the recovery: its index in the list as it was locally, and in the recovered one."""

    __slots__ = ("local", "remote")

    def __init__(self, local: int, remote: int) -> None:
        self.local = local
        self.remote = remote


class ListTracker:
    """One list. Operations return recovered indexes, None where the index says nothing in the server's list.

    ``needs_copy``: an operation spoke of an element that the recovery has not inserted, so the local list as a whole
    takes the place of the server's; ``copied``: that was done, and only a Clear makes operations count again.
    """

    def __init__(self) -> None:
        self.needs_copy = False
        self.copied = False
        self._known: list[_Known] = []

    def insert(self, local: int, remote_size: int) -> int | None:
        """An insertion at ``local`` into a list that has ``remote_size`` elements by now."""
        if self.needs_copy:
            return None
        remote = min(local, remote_size)
        for element in self._known:
            if element.local >= local:
                element.local += 1
                element.remote += 1
        self._known.append(_Known(local, remote))
        return remote

    def update(self, index: int) -> int | None:
        """A change of, or inside, the element at ``index``."""
        if self.needs_copy:
            return None
        element = self._find(index)
        if element is None:
            self.mark_copy()
            return None
        return element.remote

    def remove(self, index: int) -> int | None:
        """A removal."""
        if self.needs_copy:
            return None
        hit: int | None = None
        for element in list(self._known):
            if element.local == index:
                hit = element.remote
                self._known.remove(element)
            elif element.local > index:
                element.local -= 1
                element.remote -= 1
        if hit is None:
            self.mark_copy()
        return hit

    def move(self, source: int, target: int) -> tuple[int, int] | None:
        """A move, of which both ends must be known."""
        if self.needs_copy:
            return None
        first, second = self._find(source), self._find(target)
        if first is None or second is None or source == target:
            self.mark_copy()
            return None
        step = -1 if source < target else 1
        low, high = (source + 1, target) if source < target else (target, source - 1)
        for element in self._known:
            if low <= element.local <= high:
                element.local += step
                element.remote += step
        moved = first.remote, second.remote - step
        first.local, first.remote = second.local - step, second.remote - step
        return moved

    def clear(self) -> None:
        """Everything went, what was there remotely too: from now on every element is known."""
        self.needs_copy = False
        self._known = []

    def mark_copy(self) -> None:
        """The whole list has to be copied."""
        self.needs_copy = True
        self._known = []

    def _find(self, index: int) -> _Known | None:
        return next((element for element in self._known if element.local == index), None)
