"""Live dictionaries (spec/sdk.md §1.12, §12.5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from syncline.errors import KeyNotFoundError, TypeMismatchError
from syncline.realm.collection_summaries import SummarizedCollection
from syncline.realm.converters import describe
from syncline.realm.dictionary_views import DictionaryItems, DictionaryKeys, DictionaryValues
from syncline.realm.linked import delete_objects, results_of
from syncline.realm.models import collection_annotations
from syncline.realm.spots import DictionarySpot, built_in_place
from syncline.values import kinds

if TYPE_CHECKING:
    from syncline.query.expression import Condition
    from syncline.realm.changes import DictionaryChange
    from syncline.realm.results import Results
    from syncline.realm.streams import Changes
    from syncline.realm.tokens import NotificationToken

__all__ = ["Dictionary"]

T = TypeVar("T")


class Dictionary(SummarizedCollection, MutableMapping[str, T]):
    """A dictionary in a Realm: ``scores: Dictionary[float]``. Keys are str and iterate in ascending order."""

    def __getitem__(self, key: str) -> T:
        reader = self._read()
        if not isinstance(key, str):
            raise self._no_key(key)
        with self._context.lock:
            return cast(T, self._load(reader.dict_get(self._reference, key)))

    def __iter__(self) -> Iterator[str]:
        reader = self._read()
        with self._context.lock:
            return iter(reader.dict_keys(self._reference))

    def keys(self) -> DictionaryKeys:
        """The keys: a view as of Python's mappings, and live results."""
        return DictionaryKeys(self)

    def values(self) -> DictionaryValues[T]:
        """The values, in the order of their keys: a view as of Python's mappings, and live results."""
        return DictionaryValues(self)

    def items(self) -> DictionaryItems[T]:
        """Keys and values."""
        return DictionaryItems(self)

    def __contains__(self, key: object) -> bool:
        reader = self._read()
        if not isinstance(key, str):
            return False
        with self._context.lock:
            return reader.dict_contains(self._reference, key)

    def __setitem__(self, key: str, value: T) -> None:
        """Set an entry. Raises InvalidDictionaryKeyError for a key that begins with ``$`` or holds a ``.``."""
        tx = self._write()
        if not isinstance(key, str):
            raise TypeMismatchError(f"{self._converter.where}: the keys of a dictionary are str, got {describe(key)}")
        if built_in_place(self._place, value):
            spot = DictionarySpot(tx, self._reference, key)
            self._context.assigner().store(spot, self._converter, self._place, value)
        else:
            tx.dict_set(self._reference, key, self._converter.store(value, self._context))
        self._after_removal()

    def __delitem__(self, key: str) -> None:
        """Remove an entry; an object it links to stays. Raises KeyError."""
        if not isinstance(key, str) or not self._write().dict_erase(self._reference, key):
            raise self._no_key(key)
        self._after_removal()

    def _no_key(self, key: object) -> KeyNotFoundError:
        return KeyNotFoundError(f"{self._converter.where} has no key {key!r}")

    def delete_all(self) -> None:
        """Delete all objects in the dictionary from the Realm; the keys stay, with None as their values."""
        delete_objects(self)

    def where(self, *conditions: Condition | bool) -> Results[Any]:
        """The objects in the dictionary that meet all ``conditions``, in the order of the keys."""
        return results_of(self).where(*conditions)

    def filter(self, rql: str, *arguments: Any) -> Results[Any]:
        """The objects in the dictionary that match a text in the Realm Query Language (``Results.filter``)."""
        return results_of(self).filter(rql, *arguments)

    def clear(self) -> None:
        """Remove all entries."""
        self._write().dict_clear(self._reference)
        self._after_removal()

    def __eq__(self, other: object) -> bool:
        if self._is_same(other):
            return True
        if isinstance(other, Mapping):
            return dict(self) == dict(other)
        return NotImplemented

    def __repr__(self) -> str:
        return self._shown(lambda: (f"{key!r}: {self[key]!r}" for key in self), "{}")

    def observe(
        self,
        callback: Callable[[Dictionary[T], DictionaryChange], object],
        *,
        key_paths: list[str] | None = None,
        keep: bool = False,
    ) -> NotificationToken:
        """Call ``callback(dictionary, change)`` when entries come, go or change; see :meth:`Results.observe`."""
        self._read()
        return self._context.observers.observe_dictionary(self, callback, key_paths, keep)

    def changes(self, key_paths: list[str] | None = None, *, frozen: bool = True) -> Changes[DictionaryChange]:
        """What :meth:`observe` tells, as an asynchronous iterator; see :meth:`Results.changes`."""
        self._read()
        observers = self._context.observers
        return observers.stream(lambda inbox: observers.observe_dictionary(self, inbox, key_paths), frozen=frozen)


collection_annotations[Dictionary] = kinds.DICTIONARY_COLLECTION
