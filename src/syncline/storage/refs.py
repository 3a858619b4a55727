"""How storage names objects and collections inside one file; these numbers never travel."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CollectionRef", "ObjectRef"]


class ObjectRef(NamedTuple):
    """An object of this file: the class's id and the object's key (its row number, never reused)."""

    class_id: int
    object_key: int


class CollectionRef(NamedTuple):
    """A list, set or dictionary of this file.

    ``kind`` is LIST_COLLECTION, DICTIONARY_COLLECTION or SET_COLLECTION of ``values.kinds``. A collection property:
    ``property_id`` is the property's and ``owner`` the key of the object that has it. A collection inside a Mixed:
    ``property_id`` is 0 and ``owner`` the number of its node, which is never reused (spec/sdk.md §13.2 ``rlm_node``).
    """

    kind: int
    property_id: int
    owner: int
