"""Copying a list of the local state over the server's, for a recovery (spec/sessions.md §12.11).

The local state is the final one, the server's is that after some of the unsynced changes: what the list needs may come
with a later one. A copy says what was missing, so that it can be made again.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias, cast

from syncline.storage.columns import Value
from syncline.storage.reader import Reader
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.storage.transaction import WriteTransaction
from syncline.values import Key
from syncline.values.kinds import DICTIONARY_COLLECTION, LIST_COLLECTION, SET_COLLECTION, SINGLE_COLLECTION

__all__ = ["ListCopier", "ListPath", "Missing", "resolve"]

#: Where a list is: class, key, property and the keys on the way, without indexes.
ListPath: TypeAlias = "tuple[str, Key, str, tuple[str, ...]]"


class Missing(NamedTuple):
    """What the server's state lacked: a property of a class, or (``field`` empty) an object."""

    table: str
    key: Key
    field: str = ""

    def is_there(self, reader: Reader) -> bool:
        """Whether it has come."""
        info = reader.catalogue.find(self.table)
        if info is None:
            return False
        return self.field in info.properties if self.field else reader.find(info, self.key) is not None


class ListCopier:
    """Copies from the local state into a transaction on the server's, which records."""

    def __init__(self, local: Reader, tx: WriteTransaction) -> None:
        self._local = local
        self._tx = tx
        self._missing: dict[Missing, None] = {}

    def copy(self, own: CollectionRef, source: CollectionRef) -> list[Missing]:
        """Overwrite the list ``own`` by the local list ``source``; links to what is missing are left out."""
        self._missing = {}
        self._tx.list_clear(own)
        self._fill_list(own, source)
        return list(self._missing)

    def _fill_list(self, own: CollectionRef, source: CollectionRef) -> None:
        size = self._tx.size(own)
        for value in self._local.list_slice(source):
            if isinstance(value, CollectionRef):
                self._fill(self._tx.list_insert_collection(own, size, value.kind), value)
            elif self._is_embedded(value):
                self._fill_object(self._tx.list_insert_embedded(own, size), cast(ObjectRef, value))
            elif (there := self._there(value)) is not None or value is None:
                self._tx.list_insert(own, size, there)
            else:
                continue
            size += 1

    def _fill(self, own: CollectionRef, source: CollectionRef) -> None:
        if own.kind == LIST_COLLECTION:
            self._fill_list(own, source)
        elif own.kind == SET_COLLECTION:
            for value in self._local.set_values(source):
                if (there := self._there(value)) is not None or value is None:
                    self._tx.set_insert(own, there)
        else:
            for key, value in self._local.dict_items(source):
                if isinstance(value, CollectionRef):
                    self._fill(self._tx.dict_set_collection(own, key, value.kind), value)
                elif self._is_embedded(value):
                    self._fill_object(self._tx.dict_set_embedded(own, key), cast(ObjectRef, value))
                else:
                    self._tx.dict_set(own, key, self._there(value))

    def _fill_object(self, own: ObjectRef, source: ObjectRef) -> None:
        """The values of a new embedded object."""
        info = self._tx.catalogue.by_id[own.class_id]
        source_info = self._local.catalogue.by_id[source.class_id]
        for source_prop in source_info.properties.values():
            prop = info.properties.get(source_prop.name)
            if prop is None:
                self._missing[Missing(info.name, None, source_prop.name)] = None
                continue
            value = self._local.get(source_info, source.object_key, source_prop)
            if prop.collection != SINGLE_COLLECTION:
                self._fill(CollectionRef(prop.collection, prop.id, own.object_key), cast(CollectionRef, value))
            elif isinstance(value, CollectionRef):
                self._fill(self._tx.set_collection(info, own.object_key, prop, value.kind), value)
            elif self._is_embedded(value):
                self._fill_object(self._tx.set_embedded(info, own.object_key, prop), cast(ObjectRef, value))
            else:
                self._tx.set(info, own.object_key, prop, self._there(value))

    def _is_embedded(self, value: Value) -> bool:
        return isinstance(value, ObjectRef) and self._local.catalogue.by_id[value.class_id].embedded

    def _there(self, value: Value) -> Value:
        """A local value on the server's side; None for a link to what is not there."""
        if not isinstance(value, ObjectRef):
            return value
        info = self._local.catalogue.by_id[value.class_id]
        key = self._local.key_of(info, value.object_key)
        own = self._tx.catalogue.find(info.name)
        k = None if own is None else self._tx.find(own, key)
        if own is None or k is None:
            self._missing[Missing(info.name, key)] = None
            return None
        return ObjectRef(own.id, k)


def resolve(reader: Reader, path: ListPath) -> CollectionRef | None:
    """The list at a path without indexes, if there is one."""
    table, key, field, steps = path
    info = reader.catalogue.find(table)
    k = None if info is None else reader.find(info, key)
    if info is None or k is None or field not in info.properties:
        return None
    value = reader.get(info, k, info.properties[field])
    for step in steps:
        if isinstance(value, ObjectRef) and step in reader.catalogue.by_id[value.class_id].properties:
            info = reader.catalogue.by_id[value.class_id]
            value = reader.get(info, value.object_key, info.properties[step])
        elif _is_dictionary(value) and reader.dict_contains(cast(CollectionRef, value), step):
            value = reader.dict_get(cast(CollectionRef, value), step)
        else:
            return None
    return value if isinstance(value, CollectionRef) and value.kind == LIST_COLLECTION else None


def _is_dictionary(value: Value) -> bool:
    return isinstance(value, CollectionRef) and value.kind == DICTIONARY_COLLECTION
