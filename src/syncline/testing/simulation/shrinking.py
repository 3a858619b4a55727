"""Making the trace of a failure small: leave events out as long as the rest still fails in the same way.

All events of one kind first; then delta debugging (Zeller, Hildebrandt 2002): large parts, then smaller ones, at last
single events; then single operations of the commits that are left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from syncline.testing.simulation.events import Event, Operation
from syncline.testing.simulation.running import Failure, replay

__all__ = ["shrink"]

T = TypeVar("T")

#: Replays, each some 20 ms. A number and not a time, so that a busy machine finds the same trace.
_ATTEMPTS: Final = 5_000
_PASSES: Final = 5


def shrink(failure: Failure, attempts: int = _ATTEMPTS) -> Failure:
    """The failure with the shortest trace found in ``attempts`` replays; itself if its trace alone does not fail."""
    best = replay(failure.seed, failure.plan, failure.trace)
    if not isinstance(best, Failure) or best.kind != failure.kind:
        return failure
    search = _Search(best, attempts)
    search.drop_actions()
    for _ in range(_PASSES):
        before = search.best.trace
        search.shorten_trace()
        search.shorten_commits()
        if search.best.trace == before:
            break
    return search.best


class _Search:
    """The best trace so far, and how many more may be tried."""

    def __init__(self, failure: Failure, attempts: int) -> None:
        self.best = failure
        self._attempts = attempts

    def drop_actions(self) -> None:
        """Leave out all events of one kind: in the end everybody tells everybody everything anyway."""
        if self._fails([event for event in self.best.trace if event.action == "commit"]):
            return
        for action in sorted({event.action for event in self.best.trace}):
            self._fails([event for event in self.best.trace if event.action != action])

    def shorten_trace(self) -> None:
        """Leave events out."""
        self._minimise(self.best.trace, lambda events: events)

    def shorten_commits(self) -> None:
        """Leave out operations, and numbers in own objects."""
        for place in range(len(self.best.trace)):
            event = self.best.trace[place]
            if event.own is not None:
                self._fails(self._with(place, event._replace(own=None)))
            event = self.best.trace[place]
            if event.operations:
                self._minimise(event.operations, partial(self._with_operations, place))

    def _with_operations(self, place: int, operations: Sequence[Operation]) -> list[Event]:
        return self._with(place, self.best.trace[place]._replace(operations=tuple(operations)))

    def _with(self, place: int, event: Event) -> list[Event]:
        return [*self.best.trace[:place], event, *self.best.trace[place + 1 :]]

    def _minimise(self, items: Sequence[T], whole: Callable[[Sequence[T]], Sequence[Event]]) -> None:
        """Leave out as many of ``items`` as possible; ``whole`` makes the trace that has only those left."""
        kept = list(items)
        size = max(1, len(kept) // 2)
        while True:
            start = 0
            shorter = False
            while start < len(kept):
                rest = kept[:start] + kept[start + size :]
                if self._fails(whole(rest)):
                    kept = rest
                    shorter = True
                else:
                    start += size
                if self._attempts <= 0:
                    return
            if size == 1 and not shorter:
                return
            size = max(1, size // 2)

    def _fails(self, trace: Sequence[Event]) -> bool:
        """Try it; if it fails in the same way it is the best now."""
        self._attempts -= 1
        result = replay(self.best.seed, self.best.plan, trace)
        if isinstance(result, Failure) and result.kind == self.best.kind:
            self.best = result
            return True
        return False
