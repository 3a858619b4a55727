"""Buffers: an open write transaction's view of the tables, with everything that waits to be written.

Rows, lists, sets, dictionaries and nodes are changed here in memory and reach SQLite in batches
(:meth:`Buffers.flush`). Reading looks into the buffers first. :class:`Mark` and :meth:`Buffers.restore` undo a part.
"""

from __future__ import annotations

from typing import Final, cast

import apsw

from syncline.errors import InvalidatedObjectError, LimitExceededError, WrongTransactionStateError
from syncline.storage import schema
from syncline.storage.catalogue import Catalogue, ClassInfo, PropertyInfo
from syncline.storage.changes import ChangeLog
from syncline.storage.columns import Cell, SqlValue, collection_cell
from syncline.storage.layout import CollectionTable
from syncline.storage.lists import ListBuffer
from syncline.storage.members import MemberBuffer
from syncline.storage.refs import CollectionRef
from syncline.storage.rows import ClassRows
from syncline.storage.tables import Node, Place, Tables
from syncline.values import Key
from syncline.values.kinds import DICTIONARY, LIST, LIST_COLLECTION

__all__ = ["Buffers", "Mark"]

#: Writes that wait in memory before they go to SQLite.
_PENDING_MAX: Final = 50_000
#: Collections remembered after they were written.
_COLLECTIONS_MAX: Final = 20_000
#: Levels of collections inside one Mixed (spec/sdk.md §1.6).
_NESTING_MAX: Final = 100


class Buffers(Tables):
    """The tables of an open write transaction, seen through what waits to be written."""

    def __init__(self, connection: apsw.Connection, catalogue: Catalogue) -> None:
        super().__init__(connection, catalogue)
        self.changes = ChangeLog()
        self.dirty = False
        self.schema_changed = False
        #: a changeset was applied in part
        self.broken = False
        #: grows when elements that contain others change their places: remembered paths are void then
        self.structure = 0
        #: tombstones that may have lost their last link: (class id, number)
        self.suspects: set[tuple[int, int]] = set()
        #: classes in which an asymmetric object was made
        self.asymmetric: set[int] = set()
        self._pending = 0
        self._rows: dict[int, ClassRows] = {}
        self._without_tables: set[int] = set()
        self._next_keys: dict[int, int] = {}
        self._first_keys: dict[int, int] = {}
        self._lists: dict[CollectionRef, ListBuffer] = {}
        self._dirty_lists: list[ListBuffer] = []
        self._members: dict[CollectionRef, MemberBuffer] = {}
        self._dirty_members: list[MemberBuffer] = []
        self._clears: dict[str, list[tuple[int]]] = {}
        self._nodes: dict[int, Node] = {}
        self._new_nodes: dict[int, Node] = {}
        self._gone_nodes: set[int] = set()
        self._next_node = -1
        self._first_node = -1
        #: class id → ids of the properties that may hold links to its objects, in the order they came to
        self._incoming: dict[int, dict[int, None]] | None = None

    # --- rows -------------------------------------------------------------------------------------------------------

    def rows(self, class_id: int) -> ClassRows:
        """The buffered rows of a class. Raises InvalidatedObjectError when the class was removed."""
        rows = self._rows.get(class_id)
        if rows is None:
            rows = self._open_rows(class_id)
        return rows

    def info(self, class_id: int) -> ClassInfo:
        """The class as it is now. Raises InvalidatedObjectError when it was removed."""
        info = self.catalogue.by_id.get(class_id)
        if info is None:
            raise InvalidatedObjectError("the class of this object was removed")
        return info

    def has_tables(self, class_id: int) -> bool:
        """Whether the tables of a class exist; those of a new class come with the first look at it."""
        return class_id not in self._without_tables

    def expect_tables(self, class_id: int) -> None:
        """The class is new: its tables have to be created."""
        self._without_tables.add(class_id)

    def _create_tables(self) -> None:
        for class_id in sorted(self._without_tables):
            schema.create_tables(self.connection, self.catalogue.by_id[class_id])
        self._without_tables.clear()

    def _open_rows(self, class_id: int) -> ClassRows:
        info = self.info(class_id)
        if self._without_tables:
            self._create_tables()
        next_key = self._next_keys.get(class_id)
        if next_key is None:
            next_key = cast(int, self.query("SELECT next_key FROM rlm_class WHERE id = ?", (class_id,))[0][0])
            self._next_keys[class_id] = next_key
            self._first_keys[class_id] = next_key
        rows = ClassRows(self.connection, info, next_key, self._first_keys[class_id])
        self._rows[class_id] = rows
        return rows

    def close_rows(self, class_id: int) -> None:
        """Forget the (flushed) rows of a class: its columns are about to change."""
        rows = self._rows.pop(class_id, None)
        if rows is not None:
            self._next_keys[class_id] = rows.next_key

    def current(self, info: ClassInfo, prop: PropertyInfo) -> PropertyInfo:
        """``prop`` as the class has it now, if ``info`` is from before a change of the schema."""
        rows = self.rows(info.id)
        if rows.info is info:
            return prop
        found = rows.info.by_id.get(prop.id)
        if found is None:
            raise InvalidatedObjectError(f"property {prop.name!r} was removed")
        return found

    def find(self, info: ClassInfo, key: Key) -> int:
        return self.rows(info.id).find(key)

    def key_of(self, info: ClassInfo, k: int) -> Key:
        return self.rows(info.id).key_of(k)

    def exists(self, info: ClassInfo, k: int) -> bool:
        return self.rows(info.id).exists(k)

    def row(self, info: ClassInfo, k: int) -> Cell:
        return self.rows(info.id).row(k)

    def cell(self, info: ClassInfo, k: int, prop: PropertyInfo) -> Cell:
        return self.rows(info.id).cell(k, self.current(info, prop))

    def relieve(self) -> None:
        """Write out the buffers if they have grown large; called where nobody holds on to a buffered row."""
        self._pending += 1
        if self._pending >= _PENDING_MAX:
            self.flush()

    # --- buffers of collections ---------------------------------------------------------------------------------------

    def list_buffer(self, ref: CollectionRef) -> ListBuffer:
        """The buffer of a list."""
        buffer = self._lists.get(ref)
        if buffer is None:
            buffer = ListBuffer(self.connection, self.table(ref), ref.owner, self._is_new(ref))
            self._lists[ref] = buffer
        return buffer

    def member_buffer(self, ref: CollectionRef) -> MemberBuffer:
        """The buffer of a set or dictionary."""
        buffer = self._members.get(ref)
        if buffer is None:
            buffer = MemberBuffer(self.connection, self.table(ref), ref.owner, self._is_new(ref))
            self._members[ref] = buffer
        return buffer

    def _is_new(self, ref: CollectionRef) -> bool:
        """Whether SQLite cannot have elements yet: the owner is still unwritten, and buffers outlive their owner's."""
        if ref.property_id == 0:
            return ref.owner in self._new_nodes
        return ref.owner in self.rows(self.element(ref).class_id).new

    def _writing_list(self, ref: CollectionRef) -> ListBuffer:
        self.relieve()
        self.dirty = True
        buffer = self.list_buffer(ref)
        if not buffer.is_dirty:
            self._dirty_lists.append(buffer)
        return buffer

    def _writing_members(self, ref: CollectionRef) -> MemberBuffer:
        self.relieve()
        self.dirty = True
        buffer = self.member_buffer(ref)
        if not buffer.is_dirty:
            self._dirty_members.append(buffer)
        return buffer

    def list_size(self, ref: CollectionRef) -> int:
        return self.list_buffer(ref).size

    def list_cells(self, ref: CollectionRef, start: int, stop: int) -> list[Cell]:
        return self.list_buffer(ref).load()[start:stop]

    def hidden(self, ref: CollectionRef) -> list[int]:
        return self.list_buffer(ref).hidden()

    def member(self, ref: CollectionRef, place: Place) -> Cell | None:
        if ref.kind == LIST_COLLECTION:
            return self.list_buffer(ref).get(cast(int, place))
        return self.member_buffer(ref).get(place)

    def members(self, ref: CollectionRef) -> list[tuple[Place, Cell]]:
        return self.member_buffer(ref).members()

    def member_count(self, ref: CollectionRef) -> int:
        return self.member_buffer(ref).count()

    # --- nodes --------------------------------------------------------------------------------------------------------

    def node(self, number: int) -> Node | None:
        node = self._nodes.get(number)
        if node is None and number not in self._gone_nodes:
            node = super().node(number)
            if node is not None:
                self._nodes[number] = node
        return node

    def existing_node(self, number: int) -> Node:
        """The collection with that number. Raises InvalidatedObjectError."""
        node = self.node(number)
        if node is None:
            raise InvalidatedObjectError("this collection in a Mixed value was replaced or removed")
        return node

    def create_node(self, kind: int, class_id: int, owner: int, property_id: int, parent: int) -> Cell:
        """A new empty list or dictionary (LIST_COLLECTION or DICTIONARY_COLLECTION): the cell that holds it.

        Raises LimitExceededError where it would be nested too deeply.
        """
        depth = 1
        above = parent
        while above:
            depth += 1
            above = self.existing_node(above).parent
        if depth > _NESTING_MAX:
            raise LimitExceededError(f"collections in a mixed value can be nested {_NESTING_MAX} levels deep, no more")
        if self._next_node < 0:
            rows = self.query("SELECT ifnull(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'rlm_node'")
            self._next_node = cast(int, rows[0][0])
            self._first_node = self._next_node
        number = self._next_node
        self._next_node = number + 1
        node = Node(kind, class_id, owner, property_id, parent)
        self._nodes[number] = node
        self._new_nodes[number] = node
        self.dirty = True
        return collection_cell(LIST if kind == LIST_COLLECTION else DICTIONARY, number)

    # --- links --------------------------------------------------------------------------------------------------------

    def expect_tombstones(self, class_id: int) -> None:
        """The class has tombstones from now on."""
        self._tombs[class_id] = True

    def incoming(self, info: ClassInfo) -> list[PropertyInfo]:
        return [self.catalogue.properties[id] for id in self._incoming_ids(info.id)]

    def _incoming_ids(self, class_id: int) -> dict[int, None]:
        known = self._incoming
        if known is None:
            known = self._incoming = {}
            for id, prop in self.query("SELECT class, prop FROM rlm_incoming ORDER BY seq"):
                known.setdefault(cast(int, id), {})[cast(int, prop)] = None
        return known.setdefault(class_id, {})

    def forget_incoming(self) -> None:
        """The schema changed, and with it which properties may hold links."""
        self._incoming = None

    def note_incoming(self, class_id: int, prop: PropertyInfo) -> None:
        """``prop``, a Mixed, may hold links to objects of the class from now on."""
        ids = self._incoming_ids(class_id)
        if prop.id not in ids:
            self.query("INSERT INTO rlm_incoming(class, prop) VALUES(?, ?)", (class_id, prop.id))
            ids[prop.id] = None

    # --- the end, and parts that can be undone ------------------------------------------------------------------------

    def finish(self) -> None:
        """Write what has to be right at the commit: buffers, counters, and which objects are new in the change log."""
        self.flush()
        for class_id, rows in self._rows.items():
            self._next_keys[class_id] = rows.next_key
        changed = []
        for class_id, next_key in self._next_keys.items():
            first = self._first_keys[class_id]
            if next_key > first and class_id in self.catalogue.by_id:
                changed.append((next_key, class_id))
                self._note_inserted(class_id, first, next_key)
        if changed:
            self.connection.executemany("UPDATE rlm_class SET next_key = ? WHERE id = ?", changed)

    def _note_inserted(self, class_id: int, first: int, stop: int) -> None:
        """Objects with keys ``first`` … ``stop`` - 1 are new, unless they are gone again."""
        deleted = self.changes.deleted.get(class_id)
        ranges: list[tuple[int, int]] = []
        if deleted:
            for k in sorted(k for k in deleted if k >= first):
                if k > first:
                    ranges.append((first, k))
                first = k + 1
                deleted.discard(k)
            if not deleted:
                del self.changes.deleted[class_id]
        if first < stop:
            ranges.append((first, stop))
        if ranges:
            self.changes.inserted[class_id] = ranges

    def mark(self) -> Mark:
        """The state now, to :meth:`restore` it; the change log starts anew (:meth:`keep` joins the two)."""
        self.flush()
        mark = Mark(self)
        self.changes = ChangeLog()
        return mark

    def keep(self, mark: Mark) -> None:
        """What was done since ``mark`` stays."""
        self.flush()
        mark.changes.merge(self.changes)
        self.changes = mark.changes

    def restore(self, mark: Mark) -> None:
        """Forget everything since ``mark``, after SQLite was rolled back to it."""
        self.catalogue = mark.catalogue
        self.changes = mark.changes
        self.dirty = mark.dirty
        self.schema_changed = mark.schema_changed
        self.broken = mark.broken
        self.suspects = mark.suspects
        self.asymmetric = mark.asymmetric
        self._next_keys = mark.next_keys
        self._next_node = mark.next_node
        self._without_tables.clear()
        self._rows.clear()
        self._lists.clear()
        self._dirty_lists.clear()
        self._members.clear()
        self._dirty_members.clear()
        self._clears.clear()
        self._nodes.clear()
        self._new_nodes.clear()
        self._gone_nodes.clear()
        self._tombs.clear()
        self._incoming = None
        self._pending = 0

    @property
    def next_keys(self) -> dict[int, int]:
        """The next object key by class, of the classes that were touched."""
        keys = dict(self._next_keys)
        for class_id, rows in self._rows.items():
            keys[class_id] = rows.next_key
        return keys

    @property
    def created(self) -> dict[int, int]:
        """The first object key that was given out here, by class, where one was."""
        first = self._first_keys
        return {class_id: first[class_id] for class_id, key in self.next_keys.items() if key > first[class_id]}

    @property
    def next_node(self) -> int:
        """The number of the next node, -1 if none was made yet."""
        return self._next_node

    # --- writing ------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write all buffers. Raises WrongTransactionStateError after a changeset that was applied in part."""
        if self.broken:
            raise WrongTransactionStateError(
                "a changeset could not be applied: roll the transaction back, nothing can be written"
            )
        self._pending = 0
        if self._without_tables:
            self._create_tables()
        for rows in self._rows.values():
            if rows.pending:
                rows.flush()
        if self._new_nodes or self._gone_nodes:
            self._flush_nodes()
        cursor = self.connection.cursor()
        for sql, owners in self._clears.items():
            cursor.executemany(sql, owners)
        self._clears.clear()
        if self._dirty_lists:
            self._flush_lists(cursor)
        if self._dirty_members:
            self._flush_members(cursor)
        if len(self._lists) + len(self._members) > _COLLECTIONS_MAX:
            self._lists.clear()
            self._members.clear()

    def _flush_nodes(self) -> None:
        cursor = self.connection.cursor()
        cursor.executemany("DELETE FROM rlm_node WHERE id = ?", [(number,) for number in self._gone_nodes])
        cursor.executemany(
            "INSERT INTO rlm_node(id, kind, class, owner, prop, parent) VALUES(?, ?, ?, ?, ?, ?)",
            [(number, *node[:4], node.parent or None) for number, node in self._new_nodes.items()],
        )
        self._gone_nodes.clear()
        self._new_nodes.clear()

    def _flush_lists(self, cursor: apsw.Cursor) -> None:
        batches: dict[CollectionTable, tuple[list[tuple[SqlValue, ...]], list[tuple[int, int]]]] = {}
        for buffer in self._dirty_lists:
            if buffer.is_dirty:
                upserts, cuts = batches.setdefault(buffer.table, ([], []))
                buffer.flush(upserts, cuts)
        self._dirty_lists.clear()
        for table, (upserts, cuts) in batches.items():
            if cuts:
                cursor.executemany(table.erase_from_sql, cuts)
            if upserts:
                cursor.executemany(table.upsert_sql, upserts)

    def _flush_members(self, cursor: apsw.Cursor) -> None:
        clears: dict[CollectionTable, list[tuple[int]]] = {}
        erasures: dict[CollectionTable, list[tuple[int, Place]]] = {}
        upserts: dict[CollectionTable, list[tuple[SqlValue, ...]]] = {}
        for buffer in self._dirty_members:
            if buffer.is_dirty:
                table = buffer.table
                buffer.flush(
                    clears.setdefault(table, []), erasures.setdefault(table, []), upserts.setdefault(table, [])
                )
        self._dirty_members.clear()
        for table in upserts:
            cursor.executemany(table.clear_sql, clears[table])
            cursor.executemany(table.erase_sql, erasures[table])
            cursor.executemany(table.upsert_sql, upserts[table])


class Mark:
    """What :meth:`Buffers.restore` needs besides SQLite's own savepoint."""

    def __init__(self, buffers: Buffers) -> None:
        self.catalogue = buffers.catalogue
        self.changes = buffers.changes
        self.dirty = buffers.dirty
        self.schema_changed = buffers.schema_changed
        self.broken = buffers.broken
        self.suspects = set(buffers.suspects)
        self.asymmetric = set(buffers.asymmetric)
        self.next_keys = buffers.next_keys
        self.next_node = buffers.next_node
