"""Making one file's objects equal to another's, writing only what differs (spec/sessions.md §12.12).

The source is a client reset's fresh copy of the server's state; the destination is the application's file, whose open
Realms see the differences as ordinary changes. Nothing is recorded. What both files know by number (objects, nodes,
tombstones) is translated: objects by their keys, links to missing objects by the keys of those.

Works on cells (:mod:`syncline.storage.tables`), not on values, because links to tombstones have to come along: list
instructions of other peers count them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, cast

from syncline.errors import SchemaError
from syncline.storage import evolution
from syncline.storage.catalogue import Catalogue, ClassInfo, PropertyInfo
from syncline.storage.columns import (
    DICTIONARY_TAG,
    LINK_TAG,
    LIST_TAG,
    Cell,
    cell_sort_key,
    key_from_columns,
    link_cell,
)
from syncline.storage.differences import Differences, exactly, holds_others
from syncline.storage.links import bury, revive, tombstone_of
from syncline.storage.reader import Reader
from syncline.storage.refs import CollectionRef
from syncline.storage.tables import Tables
from syncline.storage.transaction import WriteTransaction
from syncline.values import GlobalKey, Key
from syncline.values.kinds import (
    DICTIONARY_COLLECTION,
    GLOBAL_KEY,
    LINK,
    LIST_COLLECTION,
    MIXED,
    SET_COLLECTION,
    SINGLE_COLLECTION,
)

__all__ = ["duplicate", "transfer"]

#: A value in a form that is equal for equal values of both files.
_Form: TypeAlias = object

_END: Final = 1 << 62
_COLLECTIONS: Final = {LIST_TAG: LIST_COLLECTION, DICTIONARY_TAG: DICTIONARY_COLLECTION}


def transfer(source: Reader, tx: WriteTransaction) -> None:
    """Make the classes, properties and objects that ``tx`` sees equal to those of ``source``, another file.

    ``source`` may be an open write transaction. Call it with recording off. Raises SchemaError where the destination
    has classes or properties that the source lacks or has differently, because open Realms cannot lose them; the
    transaction must be rolled back then. What is missing is added; indexes of present properties stay as they are.
    """
    _check_nothing_is_lost(source.catalogue, tx.catalogue)
    source.flush()
    _add_schema(source.catalogue, tx)
    _Transfer(source, tx).run()


# --- schema -----------------------------------------------------------------------------------------------------------


def _check_nothing_is_lost(source: Catalogue, own: Catalogue) -> None:
    lost = [name for name in own.classes if name not in source.classes]
    if lost:
        raise SchemaError(f"classes have been removed: {', '.join(map(repr, lost))}")
    for name, info in own.classes.items():
        lost = [prop for prop in info.properties if prop not in source.classes[name].properties]
        if lost:
            raise SchemaError(f"columns have been removed from {name!r}: {', '.join(map(repr, lost))}")


def _add_schema(source: Catalogue, tx: WriteTransaction) -> None:
    workspace = tx.workspace
    for info in source.classes.values():
        key = info.primary_key
        name, key_type, nullable = ("", GLOBAL_KEY, False) if key is None else (key.name, key.type, key.nullable)
        evolution.add_class(workspace, info.name, info.kind, name, key_type, nullable)
    for info in source.classes.values():
        for prop in info.properties.values():
            if prop.is_primary_key:
                continue
            own, _ = evolution.add_property(
                workspace,
                workspace.catalogue.classes[info.name],
                prop.name,
                prop.type,
                prop.nullable,
                prop.collection,
                prop.target,
                prop.indexed,
            )
            if own.nullable != prop.nullable:
                raise SchemaError(f"property {info.name}.{prop.name} exists with another nullability")


# --- objects ----------------------------------------------------------------------------------------------------------


class _Transfer:
    """One transfer between files whose schemas agree."""

    def __init__(self, source: Reader, tx: WriteTransaction) -> None:
        self._tx = tx
        self._source: Tables = source.tables
        self._own = tx.workspace
        #: own object by (own class, source's object)
        self._objects: dict[tuple[int, int], int] = {}
        #: own class by the source's class id
        self._classes: dict[int, ClassInfo] = {
            info.id: self._own.catalogue.classes[info.name] for info in source.catalogue.classes.values()
        }

    def run(self) -> None:
        """Delete, then create, then copy values: links need their targets."""
        classes = [
            info
            for info in self._source.catalogue.classes.values()
            if not (info.embedded or self._classes[info.id].asymmetric)
        ]
        wanted = {info.id: _keys(self._source, info) for info in classes}
        present = {info.id: _keys(self._own, self._classes[info.id]) for info in classes}
        for info in classes:
            for key, k in present[info.id].items():
                if key not in wanted[info.id]:
                    # links to it are overwritten below: until then they are hidden, so that no list moves for each
                    bury(self._own, self._classes[info.id], key, k)
        for info in classes:
            own = self._classes[info.id]
            for key, k in wanted[info.id].items():
                known = present[info.id].get(key)
                self._objects[own.id, k] = self._create(own, key) if known is None else known
        self._own.flush()
        differences = Differences(self._source, self._own, self._translated)
        for info in classes:
            own, before = self._classes[info.id], present[info.id]
            kept = []
            for key, k in wanted[info.id].items():
                if key in before:
                    kept.append((k, before[key]))
                else:
                    self._copy_object(info, k, own, self._objects[own.id, k])
            for k, own_k, props in differences.find(info, own, kept):
                self._copy_properties(info, k, own, own_k, props)

    def _create(self, info: ClassInfo, key: Key) -> int:
        k = self._own.create(info, key)
        if self._own.has_tombstones(info.id):
            revive(self._own, info, key, k)
        return k

    def _copy_object(self, info: ClassInfo, k: int, own: ClassInfo, own_k: int) -> None:
        """The values of one object, embedded or not, which both files have."""
        self._copy_properties(info, k, own, own_k, [*info.singles, *info.collections])

    def _copy_properties(
        self, info: ClassInfo, k: int, own: ClassInfo, own_k: int, props: Sequence[PropertyInfo]
    ) -> None:
        row = self._source.row(info, k)
        for prop in props:
            own_prop = own.properties[prop.name]
            if prop.collection != SINGLE_COLLECTION:
                ref = CollectionRef(prop.collection, prop.id, k)
                own_ref = CollectionRef(prop.collection, own_prop.id, own_k)
                self._copy_collection(ref, own_ref, (own.id, own_k, own_prop, 0))
            elif not prop.is_primary_key:
                cell = row[prop.slot : prop.slot + len(prop.columns)]
                self._copy_single(prop, cell, own, own_k, own_prop)

    def _copy_single(self, prop: PropertyInfo, cell: Cell, own: ClassInfo, own_k: int, own_prop: PropertyInfo) -> None:
        rows = self._own.rows(own.id)
        old = rows.cell(own_k, own_prop)
        place = (own.id, own_k, own_prop, 0)
        if not holds_others(prop, cell):
            new = self._translated(prop, cell, own_prop)
            if not _same(old, new):
                self._note_link(own_prop, own_prop, new)
                self._own.set_cell(rows, own_k, own_prop, new)
            return
        if not self._can_stay(prop, cell, old):
            old = self._new_holder(prop, cell, own_prop, place)
            self._own.set_cell(rows, own_k, own_prop, old)
        self._copy_content(prop, cell, own_prop, old, place)

    # --- values that hold others: embedded objects, collections inside a Mixed ----------------------------------------

    @staticmethod
    def _can_stay(prop: PropertyInfo, cell: Cell, old: Cell) -> bool:
        """Whether ``old`` holds something of the same kind as ``cell``, whose content can be changed in place."""
        return old[0] == cell[0] if prop.type == MIXED else old[0] is not None

    def _new_holder(self, prop: PropertyInfo, cell: Cell, own_prop: PropertyInfo, place: _Place) -> Cell:
        class_id, owner, root, parent = place
        if prop.type == MIXED:
            kind = _COLLECTIONS[cast(int, cell[0])]
            return self._own.create_node(kind, class_id, owner, root.id, parent)
        return (self._own.create_embedded(class_id, owner, own_prop),)

    def _copy_content(self, prop: PropertyInfo, cell: Cell, own_prop: PropertyInfo, old: Cell, place: _Place) -> None:
        if prop.type == MIXED:
            kind = _COLLECTIONS[cast(int, cell[0])]
            node = cast(int, old[1])
            class_id, owner, root, _ = place
            inner = (class_id, owner, root, node)
            self._copy_collection(CollectionRef(kind, 0, cast(int, cell[1])), CollectionRef(kind, 0, node), inner)
        else:
            info = self._source.catalogue.by_id[prop.target_id]
            self._copy_object(info, cast(int, cell[0]), self._classes[info.id], cast(int, old[0]))

    # --- collections --------------------------------------------------------------------------------------------------

    def _copy_collection(self, ref: CollectionRef, own: CollectionRef, place: _Place) -> None:
        if ref.kind == LIST_COLLECTION:
            self._copy_list(ref, own, place)
        elif ref.kind == SET_COLLECTION:
            self._copy_set(ref, own)
        else:
            self._copy_dictionary(ref, own, place)

    def _copy_list(self, ref: CollectionRef, own: CollectionRef, place: _Place) -> None:
        """What is equal at both ends stays; the rest is replaced, then the surplus removed or the missing inserted."""
        prop, own_prop = self._source.element(ref), self._own.element(own)
        cells, olds = self._source.list_cells(ref, 0, _END), self._own.list_cells(own, 0, _END)
        if not cells and not olds:
            return
        wanted = [self._form(prop, cell, own_prop) for cell in cells]
        present = [self._own_form(own_prop, cell) for cell in olds]
        start, stop, old_stop = 0, len(wanted), len(present)
        while start < min(stop, old_stop) and wanted[start] == present[start]:
            start += 1
        while min(stop, old_stop) > start and wanted[stop - 1] == present[old_stop - 1]:
            stop -= 1
            old_stop -= 1
        for index in range(old_stop - 1, max(stop, start) - 1, -1):
            self._own.list_erase(own, index)
        for index in range(start, stop):
            if index >= old_stop:
                self._insert(prop, cells[index], own_prop, own, index, place)
            elif wanted[index] != present[index]:
                self._replace(prop, cells[index], own_prop, own, index, olds[index], place)

    def _insert(
        self, prop: PropertyInfo, cell: Cell, own_prop: PropertyInfo, own: CollectionRef, index: int, place: _Place
    ) -> None:
        if holds_others(prop, cell):
            new = self._new_holder(prop, cell, own_prop, place)
            self._own.list_insert(own, index, new)
            self._copy_content(prop, cell, own_prop, new, place)
        else:
            new = self._translated(prop, cell, own_prop)
            self._note_link(own_prop, place[2], new)
            self._own.list_insert(own, index, new)

    def _replace(
        self,
        prop: PropertyInfo,
        cell: Cell,
        own_prop: PropertyInfo,
        own: CollectionRef,
        index: int,
        old: Cell,
        place: _Place,
    ) -> None:
        if not holds_others(prop, cell):
            new = self._translated(prop, cell, own_prop)
            self._note_link(own_prop, place[2], new)
            self._own.list_set(own, index, new)
            return
        if not self._can_stay(prop, cell, old):
            old = self._new_holder(prop, cell, own_prop, place)
            self._own.list_set(own, index, old)
        self._copy_content(prop, cell, own_prop, old, place)

    def _copy_set(self, ref: CollectionRef, own: CollectionRef) -> None:
        prop, own_prop = self._source.element(ref), self._own.element(own)
        cells = [self._translated(prop, cell, own_prop) for _, cell in self._source.members(ref)]
        wanted = {cell_sort_key(own_prop, cell): cell for cell in cells}
        present = dict(self._own.members(own))
        for place in present:
            if place not in wanted:
                self._own.member_erase(own, place)
        for key, cell in wanted.items():
            if key not in present:
                self._note_link(own_prop, own_prop, cell)
                self._own.member_put(own, key, cell)

    def _copy_dictionary(self, ref: CollectionRef, own: CollectionRef, place: _Place) -> None:
        prop, own_prop = self._source.element(ref), self._own.element(own)
        wanted, present = dict(self._source.members(ref)), dict(self._own.members(own))
        for key in present:
            if key not in wanted:
                self._own.member_erase(own, key)
        for key, cell in wanted.items():
            old = present.get(key)
            if not holds_others(prop, cell):
                new = self._translated(prop, cell, own_prop)
                if old is None or not _same(old, new):
                    self._note_link(own_prop, place[2], new)
                    self._own.member_put(own, key, new)
                continue
            if old is None or not self._can_stay(prop, cell, old):
                old = self._new_holder(prop, cell, own_prop, place)
                self._own.member_put(own, key, old)
            self._copy_content(prop, cell, own_prop, old, place)

    # --- cells and forms ----------------------------------------------------------------------------------------------

    def _translated(self, prop: PropertyInfo, cell: Cell, own_prop: PropertyInfo) -> Cell:
        """A cell of the source as a cell of this file; one that holds no others."""
        if prop.type == MIXED:
            if cell[0] != LINK_TAG:
                return cell
            class_id, number = cast(int, cell[3]), cast(int, cell[1])
        elif prop.type == LINK and cell[0] is not None:
            class_id, number = prop.target_id, cast(int, cell[0])
        else:
            return cell
        own = self._classes[class_id]
        if number >= 0:
            return link_cell(own_prop, own.id, self._objects[own.id, number])
        rows = self._source.query("SELECT pk FROM rlm_tomb WHERE class = ? AND key = ?", (class_id, -1 - number))
        return link_cell(own_prop, own.id, -1 - tombstone_of(self._own, own, cast(bytes, rows[0][0])))

    def _note_link(self, own_prop: PropertyInfo, root: PropertyInfo, cell: Cell) -> None:
        """A Mixed of ``root`` is about to hold a link, perhaps the first one to that class."""
        if own_prop.type == MIXED and cell[0] == LINK_TAG:
            self._own.note_incoming(cast(int, cell[3]), root)

    def _form(self, prop: PropertyInfo, cell: Cell, own_prop: PropertyInfo) -> _Form:
        if not holds_others(prop, cell):
            return exactly(self._translated(prop, cell, own_prop))
        return _deep_form(self._source, prop, cell, lambda inner, value: self._form(inner, value, self._peer(inner)))

    def _own_form(self, prop: PropertyInfo, cell: Cell) -> _Form:
        if not holds_others(prop, cell):
            return exactly(cell)
        return _deep_form(self._own, prop, cell, self._own_form)

    def _peer(self, prop: PropertyInfo) -> PropertyInfo:
        """The own property that corresponds to one of the source; an element of a Mixed is its own peer."""
        return prop if prop.id == 0 else self._classes[prop.class_id].properties[prop.name]


def duplicate(tx: WriteTransaction, info: ClassInfo, k: int) -> int:
    """Copy an object of a class without primary key, with all that it owns, inside one file: the copy's number."""
    own = tx.workspace
    copy = own.create(info, GlobalKey(tx.file_ident, own.rows(info.id).next_key))
    within = _Transfer(tx, tx)
    within._objects = _Same()
    within._copy_object(info, k, info, copy)
    return copy


class _Same(dict[tuple[int, int], int]):
    """Every object corresponds to itself."""

    def __missing__(self, key: tuple[int, int]) -> int:
        return key[1]


#: Where a value lies: class and key of the object, the object's property, and the node around it (0: none).
_Place: TypeAlias = tuple[int, int, PropertyInfo, int]


def _keys(tables: Tables, info: ClassInfo) -> dict[Key, int]:
    """All objects of a top-level class by key, in the order of their creation."""
    tables.flush()
    columns = "ghi, glo" if info.primary_key is None else f"p{info.primary_key.id}"
    rows = tables.query(f"SELECT k, {columns} FROM {info.table} ORDER BY k") if _has_table(tables, info) else []
    return {key_from_columns(info.primary_key, row[1:]): cast(int, row[0]) for row in rows}


def _has_table(tables: Tables, info: ClassInfo) -> bool:
    """The table of a class that was added in this transaction comes with the first look at its rows."""
    return bool(tables.query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (info.table,)))


def _deep_form(tables: Tables, prop: PropertyInfo, cell: Cell, form: Callable[[PropertyInfo, Cell], _Form]) -> _Form:
    """The form of an embedded object, or of a collection inside a Mixed."""
    if prop.type == MIXED:
        kind = _COLLECTIONS[cast(int, cell[0])]
        return _collection_form(tables, CollectionRef(kind, 0, cast(int, cell[1])), form)
    info = tables.catalogue.by_id[prop.target_id]
    k = cast(int, cell[0])
    row = tables.row(info, k)
    values: dict[str, _Form] = {
        one.name: form(one, tuple(row[one.slot : one.slot + len(one.columns)])) for one in info.singles
    }
    for one in info.collections:
        values[one.name] = _collection_form(tables, CollectionRef(one.collection, one.id, k), form)
    return values


def _collection_form(tables: Tables, ref: CollectionRef, form: Callable[[PropertyInfo, Cell], _Form]) -> _Form:
    prop = tables.element(ref)
    if ref.kind == LIST_COLLECTION:
        return [form(prop, cell) for cell in tables.list_cells(ref, 0, _END)]
    if ref.kind == SET_COLLECTION:
        return {form(prop, cell) for _, cell in tables.members(ref)}
    return {place: form(prop, cell) for place, cell in tables.members(ref)}


def _same(old: Cell, new: Cell) -> bool:
    return exactly(old) == exactly(new)
