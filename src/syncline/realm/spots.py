"""Spots: the places that hold one value, so that storing a value of any form is written once (see ``assigning``)."""

from __future__ import annotations

from collections.abc import Mapping, MutableSequence
from typing import Any, Protocol

from syncline.storage.catalogue import ClassInfo, PropertyInfo
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.storage.transaction import WriteTransaction
from syncline.values import kinds

__all__ = ["DictionarySpot", "ListInsertSpot", "ListSetSpot", "PropertySpot", "Spot", "built_in_place", "is_collection"]


def is_collection(value: Any) -> bool:
    """Whether a value becomes a list or dictionary in a Mixed place."""
    return isinstance(value, list | tuple | Mapping | MutableSequence) and not isinstance(value, bytearray)


def built_in_place(place: PropertyInfo, value: Any) -> bool:
    """Whether a value comes into being where it is assigned: an embedded object, or a collection in a Mixed."""
    if value is None:
        return False
    return place.embedded or (place.type == kinds.MIXED and is_collection(value))


class Spot(Protocol):
    """A place that holds one value."""

    def set(self, value: Any) -> object:
        """Store a plain value or a link, in its stored form."""

    def set_embedded(self) -> ObjectRef:
        """Make a new embedded object there."""

    def set_collection(self, collection: int) -> CollectionRef:
        """Make a list or dictionary there; only in a Mixed."""


class PropertySpot:
    """A property with a single value."""

    def __init__(
        self, tx: WriteTransaction, info: ClassInfo, key: int, place: PropertyInfo, is_default: bool = False
    ) -> None:
        self.tx = tx
        self.info = info
        self.key = key
        self.place = place
        self.is_default = is_default

    def set(self, value: Any) -> None:
        self.tx.set(self.info, self.key, self.place, value, self.is_default)

    def set_embedded(self) -> ObjectRef:
        return self.tx.set_embedded(self.info, self.key, self.place, self.is_default)

    def set_collection(self, collection: int) -> CollectionRef:
        return self.tx.set_collection(self.info, self.key, self.place, collection, self.is_default)


class ListInsertSpot:
    """A new element of a list."""

    def __init__(self, tx: WriteTransaction, reference: CollectionRef, index: int) -> None:
        self.tx = tx
        self.reference = reference
        self.index = index

    def set(self, value: Any) -> None:
        self.tx.list_insert(self.reference, self.index, value)

    def set_embedded(self) -> ObjectRef:
        return self.tx.list_insert_embedded(self.reference, self.index)

    def set_collection(self, collection: int) -> CollectionRef:
        return self.tx.list_insert_collection(self.reference, self.index, collection)


class ListSetSpot:
    """An element of a list that is replaced."""

    def __init__(self, tx: WriteTransaction, reference: CollectionRef, index: int) -> None:
        self.tx = tx
        self.reference = reference
        self.index = index

    def set(self, value: Any) -> None:
        self.tx.list_set(self.reference, self.index, value)

    def set_embedded(self) -> ObjectRef:
        return self.tx.list_set_embedded(self.reference, self.index)

    def set_collection(self, collection: int) -> CollectionRef:
        return self.tx.list_set_collection(self.reference, self.index, collection)


class DictionarySpot:
    """An entry of a dictionary."""

    def __init__(self, tx: WriteTransaction, reference: CollectionRef, key: str) -> None:
        self.tx = tx
        self.reference = reference
        self.key = key

    def set(self, value: Any) -> None:
        self.tx.dict_set(self.reference, self.key, value)

    def set_embedded(self) -> ObjectRef:
        return self.tx.dict_set_embedded(self.reference, self.key)

    def set_collection(self, collection: int) -> CollectionRef:
        return self.tx.dict_set_collection(self.reference, self.key, collection)
