"""Reader: everything one version of a file holds, by numbers (spec/sdk.md §13.3, §13.4).

Classes and properties are given as :class:`ClassInfo` and :class:`PropertyInfo` of the reader's own catalogue, objects
by their object key. Values are Python objects: None, int, bool, str, bytes, Timestamp, float (in a Mixed place a FLOAT
is ``Float32``), Decimal128, ObjectId, uuid.UUID; a link is an :class:`ObjectRef`, a collection (property, or inside a
Mixed) a :class:`CollectionRef`. A link to a tombstone reads as None; lists and sets of links hide it
(spec/changesets.md §10.3), so indexes here are *visible* indexes unless a name says ``real``.

:class:`~syncline.storage.transaction.WriteTransaction` is a Reader that sees its own buffered writes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, cast

import apsw

from syncline.errors import (
    KeyNotFoundError,
    LimitExceededError,
    OutOfBoundsError,
    SchemaError,
    StaleAccessorError,
    TypeMismatchError,
)
from syncline.storage.backlinks import links_through
from syncline.storage.catalogue import Catalogue, ClassInfo, PropertyInfo
from syncline.storage.columns import (
    Cell,
    Value,
    cell_sort_key,
    check_key,
    decode,
    encode,
    kind_of,
    link_cell,
    text_from_sql,
    text_to_sql,
)
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.storage.tables import Tables, missing
from syncline.values import Float32, Key
from syncline.values.kinds import (
    DECIMAL,
    DOUBLE,
    FLOAT,
    LINK,
    LIST_COLLECTION,
    MIXED,
    SET_COLLECTION,
    SINGLE_COLLECTION,
)

__all__ = ["Reader", "Value"]

#: Keys asked for in one query.
_BATCH: Final = 128


class Reader:
    """One version of a file. Not locked: a connection serves one thread at a time."""

    def __init__(self, connection: apsw.Connection, catalogue: Catalogue, version: int) -> None:
        self._connect(Tables(connection, catalogue), version)

    def _connect(self, tables: Tables, version: int) -> None:
        self.tables = tables
        self.connection: apsw.Connection = tables.connection
        self.version = version

    @property
    def catalogue(self) -> Catalogue:
        """The classes and properties of this version."""
        return self.tables.catalogue

    def flush(self) -> None:
        """Make everything visible to SQL on :attr:`connection`; call it before querying tables directly.

        Nothing to do for a plain reader; a write transaction writes out its buffers.
        """

    # --- objects ----------------------------------------------------------------------------------------------------

    def find(self, cls: ClassInfo, key: Key) -> int | None:
        """The object with this primary key (or GlobalKey); None if there is none, also where a tombstone stands for it.

        Raises TypeMismatchError if the key's type is not that of the class's keys, SchemaError for an embedded class.
        """
        if cls.embedded:
            raise SchemaError(f"objects of the embedded class {cls.name!r} have no keys")
        check_key(cls.name, cls.primary_key, key)
        k = self.tables.find(cls, key)
        return k if k >= 0 else None

    def key_of(self, cls: ClassInfo, k: int) -> Key:
        """Primary key or GlobalKey of an object.

        Raises InvalidatedObjectError, and SchemaError for an embedded class.
        """
        if cls.embedded:
            raise SchemaError(f"objects of the embedded class {cls.name!r} have no keys")
        return self.tables.key_of(cls, k)

    def exists(self, cls: ClassInfo, k: int) -> bool:
        """Whether the object exists."""
        return self.tables.exists(cls, k)

    def count(self, cls: ClassInfo) -> int:
        """How many objects the class has."""
        self.flush()
        return cast(int, self.tables.query(f"SELECT count(*) FROM {cls.table}")[0][0])

    def keys(self, cls: ClassInfo, after: int = -1, limit: int = -1) -> list[int]:
        """Object keys in ascending order (order of creation), from the first one above ``after``; -1: no limit."""
        self.flush()
        sql = f"SELECT k FROM {cls.table} WHERE k > ? ORDER BY k LIMIT ?"
        return [cast(int, row[0]) for row in self.tables.query(sql, (after, limit))]

    def get(self, cls: ClassInfo, k: int, prop: PropertyInfo) -> Value:
        """The value of a property; a collection property gives its CollectionRef. Raises InvalidatedObjectError."""
        if prop.collection != SINGLE_COLLECTION:
            if not self.tables.exists(cls, k):
                raise missing(cls, k)
            return CollectionRef(prop.collection, prop.id, k)
        return decode(prop, self.tables.cell(cls, k, prop))

    def get_row(self, cls: ClassInfo, k: int) -> tuple[Value, ...]:
        """The values of all ``cls.singles``, in that order. Raises InvalidatedObjectError."""
        return decode_row(cls, self.tables.row(cls, k))

    def rows(self, cls: ClassInfo, keys: Sequence[int]) -> dict[int, tuple[Value, ...]]:
        """Rows as of :meth:`get_row` by object key; keys without object are left out."""
        self.flush()
        found: dict[int, tuple[Value, ...]] = {}
        names = ", ".join(cls.columns)
        sql = f"SELECT {names} FROM {cls.table} WHERE k IN ({','.join('?' * _BATCH)})"
        for start in range(0, len(keys), _BATCH):
            batch = list(keys[start : start + _BATCH])
            batch += batch[-1:] * (_BATCH - len(batch))  # one statement for all sizes
            for row in self.tables.query(sql, tuple(batch)):
                found[cast(int, row[0])] = decode_row(cls, row)
        return found

    def page(self, cls: ClassInfo, after: int = -1, limit: int = 256) -> list[tuple[int, tuple[Value, ...]]]:
        """Object keys and rows in ascending order, from the first one above ``after``."""
        self.flush()
        return [(cast(int, row[0]), decode_row(cls, row)) for row in self.tables.query(cls.page_sql, (after, limit))]

    def owner(self, cls: ClassInfo, k: int) -> tuple[ObjectRef, PropertyInfo]:
        """Who owns an embedded object: the object and the property. Raises InvalidatedObjectError."""
        if not cls.embedded:
            raise SchemaError(f"objects of class {cls.name!r} have no owner: it is not embedded")
        row = self.tables.row(cls, k)
        return ObjectRef(cast(int, row[1]), cast(int, row[2])), self.catalogue.properties[cast(int, row[3])]

    def top_level(self, cls: ClassInfo, k: int) -> ObjectRef:
        """The object itself, or the top-level object an embedded one belongs to. Raises InvalidatedObjectError."""
        ref = ObjectRef(cls.id, k)
        while cls.embedded:
            ref, _ = self.owner(cls, ref.object_key)
            cls = self.catalogue.by_id[ref.class_id]
        return ref

    def node_owner(self, node: int) -> tuple[ObjectRef, PropertyInfo]:
        """The object and property in whose value the collection with that number lies.

        Raises StaleAccessorError.
        """
        found = self.tables.node(node)
        if found is None:
            raise StaleAccessorError("this collection in a Mixed value was replaced or removed")
        return ObjectRef(found.class_id, found.owner), self.catalogue.properties[found.property_id]

    # --- collections ------------------------------------------------------------------------------------------------

    def collection(self, cls: ClassInfo, k: int, prop: PropertyInfo) -> CollectionRef:
        """The collection a collection property holds. Whether the object exists is not checked."""
        return CollectionRef(prop.collection, prop.id, k)

    def collection_exists(self, ref: CollectionRef) -> bool:
        """Whether the object (or, in a Mixed, the collection itself) still exists."""
        return self.tables.collection_exists(ref)

    def element(self, ref: CollectionRef) -> PropertyInfo:
        """What the elements are: the collection property, or for a collection in a Mixed a Mixed place without name."""
        return self.tables.element(ref)

    def size(self, ref: CollectionRef) -> int:
        """Number of visible elements or of dictionary entries. 0 for a collection that does not exist any more."""
        if ref.kind == LIST_COLLECTION:
            return self.tables.list_size(ref) - len(self._hidden(ref))
        if ref.kind == SET_COLLECTION and self._may_hide(ref):
            return len(self.set_values(ref))
        return self.tables.member_count(ref)

    def list_get(self, ref: CollectionRef, index: int) -> Value:
        """The element at a visible index (0 or greater). Raises OutOfBoundsError."""
        cell = self.tables.member(ref, self.list_real_index(ref, index)) if index >= 0 else None
        if cell is None:
            raise OutOfBoundsError(f"index {index} is outside the list")
        return decode(self.tables.element(ref), cell)

    def list_slice(self, ref: CollectionRef, start: int = 0, stop: int | None = None) -> list[Value]:
        """Visible elements ``start`` … ``stop`` - 1, cut to what there is."""
        prop = self.tables.element(ref)
        hidden = self._hidden(ref)
        if not hidden:
            cells = self.tables.list_cells(ref, start, _END if stop is None else stop)
        else:
            gone = set(hidden)
            cells = [cell for i, cell in enumerate(self.tables.list_cells(ref, 0, _END)) if i not in gone]
            cells = cells[start:stop]
        return [decode(prop, cell) for cell in cells]

    def list_find(self, ref: CollectionRef, value: Value) -> int | None:
        """The first visible index of an equal value (spec/sdk.md §1.11.1), or None."""
        prop = self.tables.element(ref)
        wanted = self._search_cell(prop, value)
        if wanted is None:
            return None
        column = 2 if prop.type == MIXED else 1 if prop.type == DECIMAL else 0
        sought = wanted[column]
        hidden = set(self._hidden(ref))
        visible = 0
        for index, cell in enumerate(self.tables.list_cells(ref, 0, _END)):
            if index not in hidden:
                if cell[column] == sought:
                    return visible
                visible += 1
        return None

    def list_real_size(self, ref: CollectionRef) -> int:
        """Number of elements with the hidden ones (spec/changesets.md §9.5)."""
        return self.tables.list_size(ref)

    def list_real_index(self, ref: CollectionRef, index: int) -> int:
        """The real index of a visible one; ``index`` = visible size gives the place of an append."""
        for place in self._hidden(ref):
            if place > index:
                break
            index += 1
        return index

    def list_visible_index(self, ref: CollectionRef, index: int) -> int:
        """How many visible elements are before a real index."""
        return index - bisect_left(self._hidden(ref), index)

    def set_values(self, ref: CollectionRef) -> list[Value]:
        """The visible members in the order of spec/sdk.md §1.11.1."""
        prop = self.tables.element(ref)
        links = prop.type == LINK
        return [decode(prop, cell) for _, cell in self.tables.members(ref) if not (links and cast(int, cell[0]) < 0)]

    def set_contains(self, ref: CollectionRef, value: Value) -> bool:
        """Whether an equal value is a member."""
        prop = self.tables.element(ref)
        cell = self._search_cell(prop, value)
        return cell is not None and self.tables.member(ref, cell_sort_key(prop, cell)) is not None

    def dict_get(self, ref: CollectionRef, key: str) -> Value:
        """The value of an entry. Raises KeyNotFoundError."""
        cell = self._entry(ref, key)
        if cell is None:
            raise KeyNotFoundError(f"there is no key {key!r}")
        return decode(self.tables.element(ref), cell)

    def dict_contains(self, ref: CollectionRef, key: str) -> bool:
        """Whether there is such an entry (its value may be None)."""
        return self._entry(ref, key) is not None

    def dict_keys(self, ref: CollectionRef) -> list[str]:
        """The keys in ascending order of their bytes."""
        return [text_from_sql(place) for place, _ in self.tables.members(ref)]

    def dict_items(self, ref: CollectionRef) -> list[tuple[str, Value]]:
        """Keys and values in ascending order of the keys' bytes."""
        prop = self.tables.element(ref)
        return [(text_from_sql(place), decode(prop, cell)) for place, cell in self.tables.members(ref)]

    def _entry(self, ref: CollectionRef, key: str) -> Cell | None:
        try:
            return self.tables.member(ref, text_to_sql(key))
        except LimitExceededError:
            return None

    def _may_hide(self, ref: CollectionRef) -> bool:
        """Whether the collection can contain links to tombstones that are not shown."""
        prop = self.tables.element(ref)
        return prop.type == LINK and not prop.embedded and self.tables.has_tombstones(prop.target_id)

    def _hidden(self, ref: CollectionRef) -> list[int]:
        """The real indexes of a list's hidden elements."""
        return self.tables.hidden(ref) if self._may_hide(ref) else []

    def _search_cell(self, prop: PropertyInfo, value: Value) -> Cell | None:
        """The cell a value would have as an element; None if it cannot be one."""
        try:
            kind = kind_of(value)
            if kind == LINK:
                link = cast(ObjectRef, value)
                fits = prop.type == MIXED or (prop.type == LINK and prop.target_id == link.class_id)
                return link_cell(prop, link.class_id, link.object_key) if fits else None
            kind, value = fitted(prop, kind, value)
            return encode(prop, kind, value)
        except (TypeMismatchError, LimitExceededError):
            return None

    # --- links ------------------------------------------------------------------------------------------------------

    def backlinks(self, cls: ClassInfo, k: int, source: PropertyInfo) -> list[int]:
        """Keys of the objects (of the class of ``source``) that link here through ``source``, ascending.

        An object that links several times occurs several times. Links in collections inside a Mixed count for the
        object that holds the Mixed.
        """
        self.flush()
        return [place.owner for place in links_through(self.tables, source, cls.id, k)]

    def incoming(self, cls: ClassInfo) -> list[PropertyInfo]:
        """The properties through which objects of ``cls`` may be linked to."""
        return self.tables.incoming(cls)

    def has_tombstones(self, cls: ClassInfo) -> bool:
        """Whether links to missing objects of this class exist."""
        return self.tables.has_tombstones(cls.id)


_END: Final = 1 << 62


def decode_row(cls: ClassInfo, row: Cell) -> tuple[Value, ...]:
    """The values of all single properties of a row."""
    return tuple([decode(prop, row[prop.slot : prop.slot + len(prop.columns)]) for prop in cls.singles])


def fitted(prop: PropertyInfo, kind: int, value: Value) -> tuple[int, Value]:
    """Kind and value as the property wants a float: single or double, whichever was given."""
    if kind == DOUBLE and prop.type == FLOAT:
        return FLOAT, float(Float32(cast(float, value)))
    if kind == FLOAT and prop.type == DOUBLE:
        return DOUBLE, float(cast(float, value))
    return kind, value
