"""Tables: raw reading of one version, cells in, cells out (spec/sdk.md §13.3, §13.4).

Here indexes are real ones, links are numbers (negative: a tombstone), and nothing is hidden or converted; that is
:class:`~syncline.storage.reader.Reader`'s work. :class:`~syncline.storage.workspace.Workspace` is the same for an open
write transaction, whose buffers it looks into first.
"""

from __future__ import annotations

from typing import Final, NamedTuple, cast

import apsw

from syncline.errors import InvalidatedObjectError
from syncline.storage.catalogue import Catalogue, ClassInfo, PropertyInfo
from syncline.storage.columns import Cell, SqlValue, key_from_columns, key_to_columns
from syncline.storage.connection import meaning
from syncline.storage.layout import NODE_DICTIONARY, NODE_LIST, CollectionTable
from syncline.storage.refs import CollectionRef
from syncline.values import Key
from syncline.values.kinds import LIST_COLLECTION, MIXED

__all__ = ["NODE_ELEMENT", "Node", "Place", "Tables"]

#: What stands in a collection inside a Mixed: a Mixed place without name.
NODE_ELEMENT: Final = PropertyInfo(0, 0, "", MIXED, True, LIST_COLLECTION)

#: Where an element is in its collection: index, sort key (set) or key as SQLite has it (dictionary).
Place = int | str | bytes


class Node(NamedTuple):
    """A collection inside a Mixed: ``kind`` LIST_COLLECTION or DICTIONARY_COLLECTION, the object and property in whose
    value it lies, and the node of the collection that directly contains it (0: the property itself does)."""

    kind: int
    class_id: int
    owner: int
    property_id: int
    parent: int


class Tables:
    """The tables of one version on one connection."""

    def __init__(self, connection: apsw.Connection, catalogue: Catalogue) -> None:
        self.connection = connection
        self.catalogue = catalogue
        self._cursor = connection.cursor()
        #: class id → whether there are tombstones, as far as somebody asked
        self._tombs: dict[int, bool] = {}

    def query(self, sql: str, parameters: tuple[SqlValue, ...] = ()) -> list[Cell]:
        """All rows of a query; fetched at once, so that no statement stays open. Raises FileError."""
        try:
            return cast("list[Cell]", self._cursor.execute(sql, parameters).fetchall())
        except (apsw.CorruptError, apsw.IOError, apsw.NotADBError, UnicodeDecodeError) as error:
            raise meaning(error, self.connection.filename) from error

    def flush(self) -> None:
        """Write out what is buffered; nothing here."""

    # --- objects ----------------------------------------------------------------------------------------------------

    def find(self, info: ClassInfo, key: Key) -> int:
        """The object with that (checked) key, or -1."""
        if key is None:
            rows = self.query(info.find_null_sql)
        else:
            rows = self.query(info.find_sql, key_to_columns(key))
        return cast(int, rows[0][0]) if rows else -1

    def key_of(self, info: ClassInfo, k: int) -> Key:
        """The object's key. Raises InvalidatedObjectError."""
        rows = self.query(info.key_sql, (k,))
        if not rows:
            raise missing(info, k)
        return key_from_columns(info.primary_key, rows[0])

    def exists(self, info: ClassInfo, k: int) -> bool:
        """Whether the object exists."""
        return bool(self.query(info.exists_sql, (k,)))

    def row(self, info: ClassInfo, k: int) -> Cell:
        """The object's row. Raises InvalidatedObjectError."""
        rows = self.query(info.row_sql, (k,))
        if not rows:
            raise missing(info, k)
        return rows[0]

    def cell(self, info: ClassInfo, k: int, prop: PropertyInfo) -> Cell:
        """The cell of a single property. Raises InvalidatedObjectError."""
        rows = self.query(prop.cell_sql, (k,))
        if not rows:
            raise missing(info, k)
        return rows[0]

    # --- collections ------------------------------------------------------------------------------------------------

    def element(self, ref: CollectionRef) -> PropertyInfo:
        """The property whose rules the elements follow. Raises InvalidatedObjectError when it was removed."""
        if ref.property_id == 0:
            return NODE_ELEMENT
        prop = self.catalogue.properties.get(ref.property_id)
        if prop is None:
            raise InvalidatedObjectError("the property of this collection was removed")
        return prop

    def table(self, ref: CollectionRef) -> CollectionTable:
        """Where the elements are. Raises InvalidatedObjectError when the property was removed."""
        if ref.property_id == 0:
            return NODE_LIST if ref.kind == LIST_COLLECTION else NODE_DICTIONARY
        table = self.element(ref).table
        assert table is not None
        return table

    def list_size(self, ref: CollectionRef) -> int:
        """Number of elements, hidden ones too."""
        return cast(int, self.query(self.table(ref).size_sql, (ref.owner,))[0][0])

    def list_cell(self, ref: CollectionRef, index: int) -> Cell | None:
        """The element at an index, or None."""
        return self.member(ref, index)

    def list_cells(self, ref: CollectionRef, start: int, stop: int) -> list[Cell]:
        """Elements ``start`` … ``stop`` - 1, cut to what there is."""
        return self.query(self.table(ref).slice_sql, (ref.owner, start, stop))

    def hidden(self, ref: CollectionRef) -> list[int]:
        """The indexes of links to tombstones in a list of links, ascending."""
        return [cast(int, row[0]) for row in self.query(self.table(ref).hidden_sql, (ref.owner,))]

    def member(self, ref: CollectionRef, place: Place) -> Cell | None:
        """The member of a set or entry of a dictionary at ``place``, or None."""
        rows = self.query(self.table(ref).cell_sql, (ref.owner, place))
        return rows[0] if rows else None

    def members(self, ref: CollectionRef) -> list[tuple[Place, Cell]]:
        """All members or entries with their places, ascending."""
        return [(cast(Place, row[0]), row[1:]) for row in self.query(self.table(ref).items_sql, (ref.owner,))]

    def member_count(self, ref: CollectionRef) -> int:
        """How many members or entries there are, hidden ones too."""
        return cast(int, self.query(self.table(ref).count_sql, (ref.owner,))[0][0])

    def node(self, number: int) -> Node | None:
        """The collection inside a Mixed with that number, or None."""
        rows = self.query("SELECT kind, class, owner, prop, ifnull(parent, 0) FROM rlm_node WHERE id = ?", (number,))
        return Node(*cast("tuple[int, int, int, int, int]", rows[0])) if rows else None

    def collection_exists(self, ref: CollectionRef) -> bool:
        """Whether there is such a collection."""
        if ref.property_id == 0:
            return self.node(ref.owner) is not None
        prop = self.catalogue.properties.get(ref.property_id)
        return prop is not None and self.exists(self.catalogue.by_id[prop.class_id], ref.owner)

    # --- links ------------------------------------------------------------------------------------------------------

    def has_tombstones(self, class_id: int) -> bool:
        """Whether links to missing objects of the class exist."""
        known = self._tombs.get(class_id)
        if known is None:
            known = bool(self.query("SELECT 1 FROM rlm_tomb WHERE class = ? LIMIT 1", (class_id,)))
            self._tombs[class_id] = known
        return known

    def incoming(self, info: ClassInfo) -> list[PropertyInfo]:
        """The properties that may hold links to objects of the class, in the order in which they came to."""
        rows = self.query("SELECT prop FROM rlm_incoming WHERE class = ? ORDER BY seq", (info.id,))
        return [self.catalogue.properties[cast(int, row[0])] for row in rows]


def missing(info: ClassInfo, k: int) -> InvalidatedObjectError:
    """The error of an object that does not exist."""
    return InvalidatedObjectError(f"there is no object {k} in class {info.name!r}: it was deleted")
