"""Changes as asynchronous iterators, with bounded memory (spec/sdk.md §12.6).

::

    async for change in realm.objects(Dog).changes():
        for index in change.deletions: …

An iterator holds one item at most: what comes before that one was taken is merged into it (:mod:`.merging`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from syncline.realm.changes import RealmChange
from syncline.realm.merging import merged
from syncline.realm.tokens import NotificationToken

__all__ = ["Changes", "Inbox", "frozen_view"]

C = TypeVar("C")


class Inbox:
    """What an iterator has not taken yet: one item at most. Filled in rounds of notifications.

    ``frozen``: items show what is observed as it was at their version.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, frozen: bool) -> None:
        self._loop = loop
        self.frozen = frozen
        self.item: Any = None
        self.ended = False
        self._waiter: asyncio.Future[None] | None = None

    def receive(self, change: Any) -> None:
        """One more change; merged with the one that waits. Changes that cancel out are none."""
        change = change if self.item is None else merged(self.item, change)
        self.item = None if _is_nothing(change) else change
        self._wake()

    def end(self) -> None:
        """Nothing more will come. May be called on any thread."""
        self.ended = True
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:  # the loop was closed: nobody waits on it
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def take(self) -> Any:
        """The next item, None when there will be none."""
        while self.item is None and not self.ended:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        item, self.item = self.item, None
        return item


def _is_nothing(change: Any) -> bool:
    return not isinstance(change, RealmChange) and not change.initial and change.is_empty


class Changes(AsyncIterator[C], Generic[C]):
    """An asynchronous iterator over changes; made by ``changes()`` of Realms, results, collections and objects.

    The first item has ``initial`` set. It ends with the Realm, and after the item that tells of the deletion of what is
    observed. Leaving the loop by ``break`` ends it, so does cancelling the task that waits for an item; in an
    ``async with`` block it ends with the block.
    """

    def __init__(self, subscribe: Callable[[Inbox], NotificationToken], frozen: bool = False) -> None:
        self._inbox = Inbox(asyncio.get_running_loop(), frozen)
        #: what keeps it going, for ``realm.write(without_notifying=[changes.token])``
        self.token = subscribe(self._inbox)
        self.token.end_quietly()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> C:
        try:
            item = await self._inbox.take()
        except BaseException:
            self.token.invalidate()
            raise
        if item is None:
            raise StopAsyncIteration
        found: C = item
        return found

    async def aclose(self) -> None:
        """End it."""
        self._inbox.item = None
        self.token.invalidate()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def frozen_view(observed: Any) -> Any:
    """What is observed as it is now, for good, where it can be frozen."""
    freeze: Callable[[], Any] | None = getattr(observed, "freeze", None)
    return observed if freeze is None else freeze()
