"""Reader: everything one version of a file holds, by numbers (spec/sdk.md §13.3, §13.4).

Classes and properties are given as :class:`ClassInfo` and :class:`PropertyInfo` of the reader's own catalogue, objects
by their object key. Values are Python objects: None, int, bool, str, bytes, Timestamp, float (in a Mixed place a FLOAT is
``Float32``), Decimal128, ObjectId, uuid.UUID; a link is an :class:`ObjectRef`, a collection (property, or inside a
Mixed) a :class:`CollectionRef`. A link to a tombstone reads as None; lists and sets of links hide it (spec/changesets.md
§10.3), so indexes here are *visible* indexes unless a name says ``real``.

:class:`~syncline.storage.transaction.WriteTransaction` is a Reader that sees its own buffered writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias
from uuid import UUID

import apsw

from syncline.storage.catalogue import Catalogue, ClassInfo, PropertyInfo
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.values import Decimal128, Key, ObjectId, Timestamp

__all__ = ["Reader", "Value"]

Value: TypeAlias = (
    "None | int | bool | str | bytes | Timestamp | float | Decimal128 | ObjectId | UUID | ObjectRef | CollectionRef"
)


class Reader:
    """One version of a file. Not locked: a connection serves one thread at a time."""

    connection: apsw.Connection
    catalogue: Catalogue
    version: int

    def __init__(self, connection: apsw.Connection, catalogue: Catalogue, version: int) -> None:
        self.connection = connection
        self.catalogue = catalogue
        self.version = version

    def flush(self) -> None:
        """Make everything visible to SQL on :attr:`connection`; call it before querying tables directly.

        Nothing to do for a plain reader; a write transaction writes out its buffers.
        """

    # --- objects ----------------------------------------------------------------------------------------------------

    def find(self, cls: ClassInfo, key: Key) -> int | None:
        """The object with this primary key (or GlobalKey); None if there is none, also where a tombstone stands for it.

        Raises TypeMismatchError if the key's type is not that of the class's keys.
        """
        ...

    def key_of(self, cls: ClassInfo, k: int) -> Key:
        """Primary key or GlobalKey of an object of a class that is not embedded. Raises InvalidObjectError: no such object."""
        ...

    def exists(self, cls: ClassInfo, k: int) -> bool:
        """Whether the object exists."""
        ...

    def count(self, cls: ClassInfo) -> int:
        """How many objects the class has."""
        ...

    def keys(self, cls: ClassInfo, after: int = -1, limit: int = -1) -> list[int]:
        """Object keys in ascending order (order of creation), from the first one above ``after``; -1: no limit."""
        ...

    def get(self, cls: ClassInfo, k: int, prop: PropertyInfo) -> Value:
        """The value of a property; a collection property gives its CollectionRef. Raises InvalidObjectError."""
        ...

    def get_row(self, cls: ClassInfo, k: int) -> tuple[Value, ...]:
        """The values of all ``cls.singles``, in that order. Raises InvalidObjectError."""
        ...

    def rows(self, cls: ClassInfo, keys: Sequence[int]) -> dict[int, tuple[Value, ...]]:
        """Rows as of :meth:`get_row` by object key; keys without object are left out."""
        ...

    def page(self, cls: ClassInfo, after: int = -1, limit: int = 256) -> list[tuple[int, tuple[Value, ...]]]:
        """Object keys and rows in ascending order, from the first one above ``after``."""
        ...

    def owner(self, cls: ClassInfo, k: int) -> tuple[ObjectRef, PropertyInfo]:
        """Who owns an embedded object: the object and the property. Raises InvalidObjectError."""
        ...

    def top_level(self, cls: ClassInfo, k: int) -> ObjectRef:
        """The object itself, or the top-level object an embedded one belongs to. Raises InvalidObjectError."""
        ...

    def node_owner(self, node: int) -> tuple[ObjectRef, PropertyInfo]:
        """The object and property in whose value the collection with that node number lies. Raises InvalidObjectError."""
        ...

    # --- collections ------------------------------------------------------------------------------------------------

    def collection(self, cls: ClassInfo, k: int, prop: PropertyInfo) -> CollectionRef:
        """The collection a collection property holds. Whether the object exists is not checked."""
        return CollectionRef(prop.collection, prop.id, k)

    def collection_exists(self, ref: CollectionRef) -> bool:
        """Whether the object (or, in a Mixed, the collection itself) still exists."""
        ...

    def element(self, ref: CollectionRef) -> PropertyInfo:
        """What the elements are: the collection property, or for a collection in a Mixed a Mixed place without name."""
        ...

    def size(self, ref: CollectionRef) -> int:
        """Number of visible elements or of dictionary entries. 0 for a collection that does not exist any more."""
        ...

    def list_get(self, ref: CollectionRef, index: int) -> Value:
        """The element at a visible index (0 or greater). Raises IndexError."""
        ...

    def list_slice(self, ref: CollectionRef, start: int = 0, stop: int | None = None) -> list[Value]:
        """Visible elements ``start`` … ``stop`` - 1, cut to what there is."""
        ...

    def list_find(self, ref: CollectionRef, value: Value) -> int | None:
        """The first visible index of an equal value (spec/sdk.md §1.11.1), or None."""
        ...

    def list_real_size(self, ref: CollectionRef) -> int:
        """Number of elements with the hidden ones (spec/changesets.md §9.5)."""
        ...

    def list_real_index(self, ref: CollectionRef, index: int) -> int:
        """The real index of a visible one; ``index`` = visible size gives the place of an append."""
        ...

    def set_values(self, ref: CollectionRef) -> list[Value]:
        """The visible members in the order of spec/sdk.md §1.11.1."""
        ...

    def set_contains(self, ref: CollectionRef, value: Value) -> bool:
        """Whether an equal value is a member."""
        ...

    def dict_get(self, ref: CollectionRef, key: str) -> Value:
        """The value of an entry. Raises KeyError."""
        ...

    def dict_contains(self, ref: CollectionRef, key: str) -> bool:
        """Whether there is such an entry (its value may be None)."""
        ...

    def dict_keys(self, ref: CollectionRef) -> list[str]:
        """The keys in ascending order of their bytes."""
        ...

    def dict_items(self, ref: CollectionRef) -> list[tuple[str, Value]]:
        """Keys and values in ascending order of the keys' bytes."""
        ...

    # --- links ------------------------------------------------------------------------------------------------------

    def backlinks(self, cls: ClassInfo, k: int, source: PropertyInfo) -> list[int]:
        """Keys of the objects (of the class of ``source``) that link here through ``source``, ascending, with multiplicity.

        Links in collections inside a Mixed count for the object that holds the Mixed.
        """
        ...

    def incoming(self, cls: ClassInfo) -> list[PropertyInfo]:
        """The properties through which objects of ``cls`` may be linked to."""
        ...

    def has_tombstones(self, cls: ClassInfo) -> bool:
        """Whether links to missing objects of this class exist."""
        ...
