"""Live sets (spec/sdk.md §1.12, §12.5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableSet
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, TypeVar, cast

from syncline.realm.live import LiveCollection
from syncline.realm.models import collection_annotations
from syncline.values import kinds

if TYPE_CHECKING:
    from syncline.realm.changes import CollectionChange
    from syncline.realm.streams import Changes
    from syncline.realm.tokens import NotificationToken

__all__ = ["Set"]

T = TypeVar("T")


class Set(LiveCollection, MutableSet[T]):
    """A set in a Realm: ``tags: Set[str]``. Iterates in the order of values (spec/sdk.md §1.11.1).

    Equality is the database's: 1, 1.0 and Decimal(1) are one value, True is another.
    """

    @classmethod
    def _from_iterable(cls, values: Iterable[Any]) -> set[Any]:
        """What ``|``, ``&``, ``-`` and ``^`` give: plain Python sets."""
        return set(values)

    def __iter__(self) -> Iterator[T]:
        reader = self._read()
        with self._context.lock:
            stored = reader.set_values(self._reference)
        return iter([cast(T, self._load(value)) for value in stored])

    def __contains__(self, value: object) -> bool:
        reader = self._read()
        possible, stored = self._stored_or_none(value)
        if not possible:
            return False
        with self._context.lock:
            return reader.set_contains(self._reference, stored)

    def add(self, value: T) -> None:
        """Add a member; nothing happens if an equal one is there."""
        self._write().set_insert(self._reference, self._converter.store(value, self._context))
        self._changed()

    def discard(self, value: T) -> None:
        """Remove a member if it is there."""
        tx = self._write()
        possible, stored = self._stored_or_none(value)
        if possible:
            tx.set_erase(self._reference, stored)
            self._changed()

    def clear(self) -> None:
        """Remove all members."""
        self._write().set_clear(self._reference)
        self._changed()

    def update(self, *others: Iterable[T]) -> None:
        """Add every element of ``others``."""
        for other in others:
            for value in list(other):
                self.add(value)

    def __eq__(self, other: object) -> bool:
        if self._is_same(other):
            return True
        if isinstance(other, AbstractSet):
            return set(self) == set(other)
        return NotImplemented

    def __repr__(self) -> str:
        return self._shown(lambda: map(repr, self), "{}")

    def observe(
        self,
        callback: Callable[[Set[T], CollectionChange], object],
        *,
        key_paths: list[str] | None = None,
        keep: bool = False,
    ) -> NotificationToken:
        """Call ``callback(set, change)`` when members come, go or (objects) change; see :meth:`Results.observe`."""
        self._read()
        return self._context.observers.observe_set(self, callback, key_paths, keep)

    def changes(self, key_paths: list[str] | None = None, *, frozen: bool = True) -> Changes[CollectionChange]:
        """What :meth:`observe` tells, as an asynchronous iterator; see :meth:`Results.changes`."""
        self._read()
        observers = self._context.observers
        return observers.stream(lambda inbox: observers.observe_set(self, inbox, key_paths), frozen=frozen)


collection_annotations[Set] = kinds.SET_COLLECTION
