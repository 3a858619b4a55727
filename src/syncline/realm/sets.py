"""Live sets (spec/sdk.md §1.12, §12.5)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, MutableSet
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from syncline.errors import KeyNotFoundError
from syncline.realm.collection_summaries import SummarizedCollection
from syncline.realm.linked import delete_objects, results_of
from syncline.realm.live import equality_key
from syncline.realm.models import collection_annotations
from syncline.values import kinds

if TYPE_CHECKING:
    from syncline.query.expression import Condition
    from syncline.realm.changes import CollectionChange
    from syncline.realm.results import Results
    from syncline.realm.streams import Changes
    from syncline.realm.tokens import NotificationToken

__all__ = ["Set"]

T = TypeVar("T")


class Set(SummarizedCollection, MutableSet[T]):
    """A set in a Realm: ``tags: Set[str]``. Iterates in the order of values (spec/sdk.md §1.11.1).

    Equality is the database's: 1, 1.0 and Decimal(1) are one value, True is another.
    """

    # --- reading ------------------------------------------------------------------------------------------------------

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

    # --- writing ------------------------------------------------------------------------------------------------------

    def add(self, value: T) -> bool:  # type: ignore[override]
        """Add a member; whether it was not there. Nothing happens if an equal one is."""
        added = self._write().set_insert(self._reference, self._converter.store(value, self._context))
        self._changed()
        return added

    def discard(self, value: T) -> None:
        """Remove a member if it is there."""
        tx = self._write()
        possible, stored = self._stored_or_none(value)
        if possible:
            tx.set_erase(self._reference, stored)
            self._changed()

    def remove(self, value: T) -> None:
        """Remove a member. Raises KeyNotFoundError if it is not there."""
        self._write()
        if value not in self:
            raise KeyNotFoundError(f"{value!r} is not in {self._converter.where}")
        self.discard(value)

    def pop(self) -> T:
        """Remove the first member and return it. Raises KeyNotFoundError if there is none."""
        self._write()
        for value in self:
            self.discard(value)
            return value
        raise KeyNotFoundError(f"{self._converter.where} is empty")

    def clear(self) -> None:
        """Remove all members; objects stay."""
        self._write().set_clear(self._reference)
        self._changed()

    def delete_all(self) -> None:
        """Delete all objects in the set from the Realm, and with them the members."""
        delete_objects(self)

    # --- queries ------------------------------------------------------------------------------------------------------

    def where(self, *conditions: Condition | bool) -> Results[Any]:
        """The objects in the set that meet all ``conditions``, in the order of the set."""
        return results_of(self).where(*conditions)

    def filter(self, rql: str, *arguments: Any) -> Results[Any]:
        """The objects in the set that match a text in the Realm Query Language (``Results.filter``)."""
        return results_of(self).filter(rql, *arguments)

    # --- algebra: any collection on the right; equal values count once (spec/sdk.md §1.12) ----------------------------

    def issubset(self, other: Iterable[Any]) -> bool:
        """Whether every member is in ``other``."""
        return _keyed(self).keys() <= _keyed(other).keys()

    def issuperset(self, other: Iterable[Any]) -> bool:
        """Whether every element of ``other`` is a member."""
        return _keyed(self).keys() >= _keyed(other).keys()

    def is_strict_subset(self, other: Iterable[Any]) -> bool:
        """Whether every member is in ``other``, which has more."""
        return _keyed(self).keys() < _keyed(other).keys()

    def is_strict_superset(self, other: Iterable[Any]) -> bool:
        """Whether every element of ``other`` is a member, and there are more."""
        return _keyed(self).keys() > _keyed(other).keys()

    def isdisjoint(self, other: Iterable[Any]) -> bool:
        """Whether no element of ``other`` is a member."""
        return _keyed(self).keys().isdisjoint(_keyed(other).keys())

    def intersects(self, other: Iterable[Any]) -> bool:
        """Whether some element of ``other`` is a member."""
        return not self.isdisjoint(other)

    def set_equals(self, other: Iterable[Any]) -> bool:
        """Whether the elements of ``other`` are the members, whatever their order and number."""
        return _keyed(self).keys() == _keyed(other).keys()

    def __le__(self, other: AbstractSet[Any]) -> bool:
        return self.issubset(other) if isinstance(other, AbstractSet) else NotImplemented

    def __ge__(self, other: AbstractSet[Any]) -> bool:
        return self.issuperset(other) if isinstance(other, AbstractSet) else NotImplemented

    def __lt__(self, other: AbstractSet[Any]) -> bool:
        return self.is_strict_subset(other) if isinstance(other, AbstractSet) else NotImplemented

    def __gt__(self, other: AbstractSet[Any]) -> bool:
        return self.is_strict_superset(other) if isinstance(other, AbstractSet) else NotImplemented

    def __eq__(self, other: object) -> bool:
        if self._is_same(other):
            return True
        if isinstance(other, AbstractSet):
            return self.set_equals(other)
        return NotImplemented

    def union(self, *others: Iterable[Any]) -> set[Any]:
        """The members and the elements of ``others``, as a Python set; so with all four.

        A Python set holds only one of True and 1, which to the database are two.
        """
        found = _keyed(self)
        for other in others:
            found = {**_keyed(other), **found}
        return set(found.values())

    def intersection(self, *others: Iterable[Any]) -> set[Any]:
        """The members that are in all of ``others``."""
        found = _keyed(self)
        for other in others:
            keys = _keyed(other)
            found = {key: value for key, value in found.items() if key in keys}
        return set(found.values())

    def difference(self, *others: Iterable[Any]) -> set[Any]:
        """The members that are in none of ``others``."""
        found = _keyed(self)
        for other in others:
            keys = _keyed(other)
            found = {key: value for key, value in found.items() if key not in keys}
        return set(found.values())

    def symmetric_difference(self, other: Iterable[Any]) -> set[Any]:
        """What is a member or in ``other``, but not both."""
        mine, theirs = _keyed(self), _keyed(other)
        return {mine[key] if key in mine else theirs[key] for key in mine.keys() ^ theirs.keys()}

    def __or__(self, other: AbstractSet[Any]) -> set[Any]:
        return self.union(other) if isinstance(other, Iterable) else NotImplemented

    def __and__(self, other: AbstractSet[Any]) -> set[Any]:
        return self.intersection(other) if isinstance(other, Iterable) else NotImplemented

    def __sub__(self, other: AbstractSet[Any]) -> set[Any]:
        return self.difference(other) if isinstance(other, Iterable) else NotImplemented

    def __xor__(self, other: AbstractSet[Any]) -> set[Any]:
        return self.symmetric_difference(other) if isinstance(other, Iterable) else NotImplemented

    __ror__ = __or__
    __rand__ = __and__
    __rxor__ = __xor__

    def __rsub__(self, other: AbstractSet[Any]) -> set[Any]:
        if not isinstance(other, Iterable):
            return NotImplemented
        mine = _keyed(self)
        return {value for key, value in _keyed(other).items() if key not in mine}

    def update(self, *others: Iterable[T]) -> None:
        """Add every element of ``others``."""
        tx = self._write()
        for value in [self._converter.store(value, self._context) for other in others for value in other]:
            tx.set_insert(self._reference, value)
        self._changed()

    def intersection_update(self, *others: Iterable[Any]) -> None:
        """Keep only what is in all of ``others``."""
        kept = [_keyed(other) for other in others]
        self._discard_where(lambda key: any(key not in keys for keys in kept))

    def difference_update(self, *others: Iterable[Any]) -> None:
        """Remove what is in one of ``others``."""
        gone = [_keyed(other) for other in others]
        self._discard_where(lambda key: any(key in keys for keys in gone))

    def symmetric_difference_update(self, other: Iterable[Any]) -> None:
        """Remove what is in ``other``, and add what only ``other`` has."""
        mine, theirs = _keyed(self), _keyed(other)
        self._discard_where(lambda key: key in theirs)
        for key, value in theirs.items():
            if key not in mine:
                self.add(value)

    def _discard_where(self, condition: Callable[[Hashable], bool]) -> None:
        self._write()
        for key, value in _keyed(self).items():
            if condition(key):
                self.discard(value)

    def __ior__(self, other: Iterable[Any]) -> Self:
        self.update(other)
        return self

    def __iand__(self, other: Iterable[Any]) -> Self:
        self.intersection_update(other)
        return self

    def __isub__(self, other: Iterable[Any]) -> Self:
        self.difference_update(other)
        return self

    def __ixor__(self, other: Iterable[Any]) -> Self:
        self.symmetric_difference_update(other)
        return self

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


def _keyed(values: Iterable[Any]) -> dict[Hashable, Any]:
    """The different values by what makes them equal to the database."""
    found: dict[Hashable, Any] = {}
    for value in values:
        found.setdefault(equality_key(value), value)
    return found


collection_annotations[Set] = kinds.SET_COLLECTION
