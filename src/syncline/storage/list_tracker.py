"""Which elements of a list a recovery has inserted, and where they are in both lists (spec/sessions.md §12.11).

Elements that lie side by side in both lists are one run, so that ten thousand appended elements cost no more than one.
Two things are done otherwise than in the original, because what a user wrote would go astray there: an insertion never
passes an element that is known to lie behind it, and an insertion that is dropped moves the local indexes behind it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

__all__ = ["ListTracker"]


class _Run:
    """Known elements one after the other: the indexes of the first in the local and the recovered list, how many."""

    __slots__ = ("local", "remote", "size")

    def __init__(self, local: int, remote: int, size: int) -> None:
        self.local = local
        self.remote = remote
        self.size = size


def _local(run: _Run) -> int:
    return run.local


def _remote(run: _Run) -> int:
    return run.remote


class ListTracker:
    """One list. Operations return recovered indexes, None where the index says nothing in the server's list.

    Indexes are real ones: they count hidden elements (spec/changesets.md §9.5). ``needs_copy``: an operation spoke of
    an element that the recovery has not inserted, so the local list as a whole takes the place of the server's; nothing
    is known from then on, until the list is cleared.
    """

    def __init__(self) -> None:
        self.needs_copy = False
        #: ascending in both lists
        self._runs: list[_Run] = []

    def place(self, local: int, remote_size: int) -> int:
        """Where an insertion at ``local`` goes in a list that has ``remote_size`` elements by now."""
        at = bisect_left(self._runs, local, key=_local)
        remote = min(local, remote_size)
        if at < len(self._runs):
            remote = min(remote, self._runs[at].remote)
        if at > 0:
            before = self._runs[at - 1]
            inside = before.remote + min(local - before.local, before.size)
            remote = inside if local < before.local + before.size else max(remote, inside)
        return remote

    def insert(self, local: int, remote: int) -> None:
        """An element was inserted at ``remote``, which is :meth:`place` or behind hidden elements there."""
        at = self._split(local)
        self._shift(at, 1, 1)
        self._runs.insert(at, _Run(local, remote, 1))
        self._join(at + 1)
        self._join(at)

    def drop(self, local: int) -> None:
        """An insertion at ``local`` was dropped: only the local list has the element."""
        self._shift(self._split(local), 1, 0)

    def find(self, local: int) -> int | None:
        """The known element at ``local``."""
        at = bisect_right(self._runs, local, key=_local) - 1
        if at < 0:
            return None
        run = self._runs[at]
        return run.remote + local - run.local if local < run.local + run.size else None

    def remove(self, local: int) -> int | None:
        """A removal of a known element."""
        remote = self.find(local)
        if remote is not None:
            at = self._forget(local)
            self._shift(at, -1, -1)
            self._join(at)
        return remote

    def move(self, source: int, target: int) -> tuple[int, int] | None:
        """A move, of which both ends must be known."""
        first, second = self.find(source), self.find(target)
        if first is None or second is None or source == target:
            return None
        self.remove(source)
        self.insert(target, second)
        return first, second

    def vanish(self, remote: int) -> None:
        """The element at ``remote``, known or not, went with the object that it linked to."""
        at = bisect_right(self._runs, remote, key=_remote)
        if at > 0:
            run = self._runs[at - 1]
            if remote < run.remote + run.size:
                at = self._forget(run.local + remote - run.remote)
        self._shift(at, 0, -1)

    def clear(self) -> None:
        """Everything went, what was there remotely too: from now on every element is known."""
        self.needs_copy = False
        self._runs = []

    def mark_copy(self) -> None:
        """The whole list has to be copied."""
        self.needs_copy = True
        self._runs = []

    # --- runs ---------------------------------------------------------------------------------------------------------

    def _split(self, local: int) -> int:
        """Make a run begin at ``local`` if one goes on there; the number of the first run at or behind it."""
        at = bisect_left(self._runs, local, key=_local)
        if at > 0:
            run = self._runs[at - 1]
            offset = local - run.local
            if offset < run.size:
                self._runs.insert(at, _Run(local, run.remote + offset, run.size - offset))
                run.size = offset
        return at

    def _join(self, at: int) -> None:
        """Make one run of the run ``at`` and the one before, if they lie side by side in both lists."""
        if 0 < at < len(self._runs):
            before, run = self._runs[at - 1], self._runs[at]
            if before.local + before.size == run.local and before.remote + before.size == run.remote:
                before.size += run.size
                del self._runs[at]

    def _forget(self, local: int) -> int:
        """Take the known element at ``local`` out, without a shift; the number of the first run behind."""
        self._split(local + 1)
        at = self._split(local)
        del self._runs[at]
        return at

    def _shift(self, at: int, local: int, remote: int) -> None:
        """Move the runs from ``at`` on."""
        for number in range(at, len(self._runs)):
            run = self._runs[number]
            run.local += local
            run.remote += remote
