"""Keys, values and items of live dictionaries (spec/sdk.md §1.12, §8, §9.1).

They are the views that Python's mappings have, and like results besides: in ascending order of the keys, with places,
frozen and thawed, and observed by place.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, ItemsView, Iterator, KeysView, ValuesView
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from syncline.errors import InvalidatedObjectError, OutOfBoundsError
from syncline.realm.linked import results_of
from syncline.realm.live import equality_key

if TYPE_CHECKING:
    from syncline.query.ast import SortKey
    from syncline.query.expression import Condition, Expr
    from syncline.realm.changes import CollectionChange
    from syncline.realm.dictionaries import Dictionary
    from syncline.realm.results import Results
    from syncline.realm.streams import Changes
    from syncline.realm.tokens import NotificationToken

__all__ = ["DictionaryItems", "DictionaryKeys", "DictionaryValues", "DictionaryView"]

T = TypeVar("T")
V = TypeVar("V")


def _entries(mapping: Dictionary[T]) -> Iterator[tuple[str, T]]:
    """The entries as of now; those removed while the loop runs are left out, those written meanwhile are new."""
    reader, context = mapping._read(), mapping._context
    with context.lock:
        items = reader.dict_items(mapping._reference)
    changes = context.changes
    for key, stored in items:
        if context.changes == changes:
            yield key, mapping._load(stored)
            continue
        try:
            value = mapping[key]
        except KeyError:
            continue
        except InvalidatedObjectError:
            return
        yield key, value


class DictionaryView(Generic[V]):
    """What the keys and the values of a dictionary have in common with results."""

    if TYPE_CHECKING:
        _mapping: Dictionary[Any]

        def __iter__(self) -> Iterator[V]: ...

    #: whether an entry that got another value is a change
    tells_values = True

    @abstractmethod
    def _of(self, keys: list[str]) -> list[V]:
        """What is shown of these entries."""

    @overload
    def __getitem__(self, index: int) -> V: ...
    @overload
    def __getitem__(self, index: slice) -> list[V]: ...
    def __getitem__(self, index: int | slice) -> V | list[V]:
        """That of the entry at a place, in ascending order of the keys. Raises OutOfBoundsError."""
        keys = list(self._mapping)
        if isinstance(index, slice):
            return self._of(keys[index])
        try:
            return self._of([keys[index]])[0]
        except IndexError:
            raise OutOfBoundsError(f"index {index} is out of range: there are {len(keys)} entries") from None

    def first(self) -> V | None:
        """That of the first entry; None if there is none."""
        return next(iter(self[:1]), None)

    def last(self) -> V | None:
        """That of the last entry; None if there is none."""
        return next(iter(self[-1:]), None)

    def index(self, value: object) -> int:
        """The place of the first that equals ``value``. Raises ValueError."""
        wanted = equality_key(value)
        for place, each in enumerate(self):
            if equality_key(each) == wanted:
                return place
        raise ValueError(f"{value!r} is not in {self!r}")

    def __contains__(self, value: object) -> bool:
        wanted = equality_key(value)
        return any(equality_key(each) == wanted for each in self)

    def __repr__(self) -> str:
        return self._mapping._shown(lambda: map(repr, self), "[]", type(self).__name__)

    @property
    def is_valid(self) -> bool:
        """Whether the object that owns the dictionary still exists in an open Realm."""
        return self._mapping.is_valid

    @property
    def is_frozen(self) -> bool:
        """Whether they stay as they are for good."""
        return self._mapping.is_frozen

    def freeze(self) -> Self:
        """They as of now, for good, usable on every thread. Raises WrongTransactionStateError inside a write."""
        return type(self)(self._mapping.freeze())  # type: ignore[call-arg]

    def thaw(self) -> Self | None:
        """Those of the live dictionary on this thread or event loop; None if its object was deleted."""
        found = self._mapping.thaw()
        return None if found is None else type(self)(found)  # type: ignore[call-arg]

    def observe(
        self,
        callback: Callable[[Self, CollectionChange], object],
        *,
        key_paths: list[str] | None = None,
        keep: bool = False,
    ) -> NotificationToken:
        """Call ``callback(view, change)`` when entries come or go, by places; see :meth:`Results.observe`."""
        self._mapping._read()
        return self._mapping._context.observers.observe_dictionary_view(self, callback, key_paths, keep)

    def changes(self, key_paths: list[str] | None = None, *, frozen: bool = True) -> Changes[CollectionChange]:
        """What :meth:`observe` tells, as an asynchronous iterator; see :meth:`Results.changes`."""
        self._mapping._read()
        observers = self._mapping._context.observers
        return observers.stream(lambda inbox: observers.observe_dictionary_view(self, inbox, key_paths), frozen=frozen)


class DictionaryKeys(DictionaryView[str], KeysView[str]):
    """The keys; ``scores.keys()``. Observers are told of keys that come and go, not of values."""

    _mapping: Dictionary[Any]
    tells_values = False

    def _of(self, keys: list[str]) -> list[str]:
        return keys

    def __contains__(self, key: object) -> bool:
        return key in self._mapping


class DictionaryValues(DictionaryView[T], ValuesView[T]):
    """The values, in the order of their keys; ``scores.values()``."""

    _mapping: Dictionary[T]

    def _of(self, keys: list[str]) -> list[T]:
        return [self._mapping[key] for key in keys]

    def __iter__(self) -> Iterator[T]:
        self._mapping._read()
        return (value for _, value in _entries(self._mapping))

    def count(self, value: object) -> int:
        """How many equal ``value``."""
        wanted = equality_key(value)
        return sum(1 for each in self if equality_key(each) == wanted)

    def min(self, prop: str | Expr | None = None) -> Any:
        """The smallest value; of objects that of a property. See :meth:`Results.min`."""
        return self._mapping.min(prop)

    def max(self, prop: str | Expr | None = None) -> Any:
        """The largest value; of objects that of a property. See :meth:`Results.max`."""
        return self._mapping.max(prop)

    def sum(self, prop: str | Expr | None = None) -> Any:
        """The sum of the values; of objects that of a property. See :meth:`Results.sum`."""
        return self._mapping.sum(prop)

    def average(self, prop: str | Expr | None = None) -> Any:
        """The average of the values; of objects that of a property. See :meth:`Results.average`."""
        return self._mapping.average(prop)

    def where(self, *conditions: Condition | bool) -> Results[Any]:
        """The objects among the values that meet all ``conditions``. Raises QueryError for values that are none."""
        return results_of(self._mapping).where(*conditions)

    def filter(self, rql: str, *arguments: Any) -> Results[Any]:
        """The objects among the values that match a text (``Results.filter``)."""
        return results_of(self._mapping).filter(rql, *arguments)

    def sort(self, *keys: SortKey | Expr | str, descending: bool = False) -> Results[Any]:
        """The objects among the values, sorted (``Results.sort``)."""
        return results_of(self._mapping).sort(*keys, descending=descending)


class DictionaryItems(ItemsView[str, T]):
    """Keys and values; ``scores.items()``."""

    _mapping: Dictionary[T]

    def __iter__(self) -> Iterator[tuple[str, T]]:
        self._mapping._read()
        return _entries(self._mapping)

    def __contains__(self, item: object) -> bool:
        if not isinstance(item, tuple) or len(item) != 2:
            return False
        key, value = item
        return key in self._mapping and equality_key(self._mapping[key]) == equality_key(value)
