"""A version of a Realm as the evaluator of queries sees it (:mod:`syncline.query.evaluator`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from syncline.query.ast import ClassLike, PropertyLike
from syncline.storage.catalogue import ClassInfo, PropertyInfo
from syncline.storage.reader import Reader
from syncline.storage.refs import CollectionRef
from syncline.values import Key
from syncline.values.kinds import LIST_COLLECTION, SET_COLLECTION

__all__ = ["StoredObjects"]


class StoredObjects:
    """Reads through ``reader``, each value when it is asked for. Use it under the lock of the reader's connection."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def value(self, cls: ClassLike, key: int, prop: PropertyLike) -> object:
        """The value of a property that is no collection."""
        return self._content(self.reader.get(cast(ClassInfo, cls), key, cast(PropertyInfo, prop)))

    def elements(self, cls: ClassLike, key: int, prop: PropertyLike) -> Iterable[object]:
        """The elements of a list or set, the values of a dictionary, in order."""
        reference = self.reader.collection(cast(ClassInfo, cls), key, cast(PropertyInfo, prop))
        return [self._content(value) for value in self._elements(reference)]

    def items(self, cls: ClassLike, key: int, prop: PropertyLike) -> Iterable[tuple[str, object]]:
        """The keys and values of a dictionary, in order."""
        reference = self.reader.collection(cast(ClassInfo, cls), key, cast(PropertyInfo, prop))
        return [(name, self._content(value)) for name, value in self.reader.dict_items(reference)]

    def backlinks(self, cls: ClassLike, key: int, source: ClassLike, prop: PropertyLike) -> Iterable[int]:
        """Keys of the objects of ``source`` whose ``prop`` links to the object, each as often as it does."""
        return self.reader.backlinks(cast(ClassInfo, cls), key, cast(PropertyInfo, prop))

    def find(self, cls: ClassLike, primary_key: object) -> int | None:
        """The key of the object with that primary key, None if there is none."""
        return self.reader.find(cast(ClassInfo, cls), cast(Key, primary_key))

    def _elements(self, reference: CollectionRef) -> Iterable[object]:
        if reference.kind == LIST_COLLECTION:
            return self.reader.list_slice(reference)
        if reference.kind == SET_COLLECTION:
            return self.reader.set_values(reference)
        return [value for _, value in self.reader.dict_items(reference)]

    def _content(self, value: object) -> object:
        """The value; a list or dictionary in a Mixed place with everything in it."""
        if not isinstance(value, CollectionRef):
            return value
        if value.kind == LIST_COLLECTION:
            return [self._content(element) for element in self.reader.list_slice(value)]
        return {key: self._content(element) for key, element in self.reader.dict_items(value)}
