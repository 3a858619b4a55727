"""Workspace: every change an open write transaction can make, unrecorded.

Every change feeds the change log, and what a value owned goes with it: an embedded object, a collection in a Mixed, a
tombstone that loses its last link. The recorded operations (:mod:`syncline.storage.transaction`) and the applier
(:mod:`syncline.storage.apply`) both rest on it; it records nothing itself and checks nothing that they can check.
"""

from __future__ import annotations

from typing import cast

from syncline.storage.buffers import Buffers
from syncline.storage.catalogue import ClassInfo, PropertyInfo
from syncline.storage.changes import (
    DICT_CLEAR,
    DICT_ERASE,
    DICT_SET,
    LIST_CLEAR,
    LIST_ERASE,
    LIST_INSERT,
    LIST_MOVE,
    LIST_SET,
)
from syncline.storage.columns import (
    DICTIONARY_TAG,
    LINK_TAG,
    LIST_TAG,
    Cell,
    text_from_sql,
)
from syncline.storage.refs import CollectionRef
from syncline.storage.rows import ClassRows
from syncline.storage.tables import Place
from syncline.values import Key
from syncline.values.kinds import (
    DICTIONARY_COLLECTION,
    LIST_COLLECTION,
    MIXED,
)

__all__ = ["Workspace"]

#: Something that has to go: (class id, object key), or (0, node).
Doomed = tuple[int, int]


class Workspace(Buffers):
    """The buffers of an open write transaction, and how they may change."""

    def create(self, info: ClassInfo, key: Key) -> int:
        """A new object; no object has the key."""
        self.relieve()
        self.dirty = True
        rows = self.rows(info.id)
        if info.asymmetric:
            self.asymmetric.add(info.id)
        return rows.add(key)

    def create_embedded(self, owner_class: int, owner: int, prop: PropertyInfo) -> int:
        """A new embedded object, owned by that property of that object."""
        self.relieve()
        self.dirty = True
        return self.rows(prop.target_id).add_embedded(owner_class, owner, prop.id)

    def set_cell(self, rows: ClassRows, k: int, prop: PropertyInfo, cell: Cell) -> None:
        """Write a single property of an existing object; what the old value owned goes."""
        self.relieve()
        if self._leaves_something(prop):
            self.release(prop, rows.cell(k, prop))
        rows.set_cell(k, prop, cell)
        self.note(rows, k, prop.id)

    def note(self, rows: ClassRows, k: int, property_id: int) -> None:
        """A property was written."""
        self.dirty = True
        if k < rows.first_new:
            self.changes.note_modified(property_id, k)

    # --- changing collections -----------------------------------------------------------------------------------------

    def list_insert(self, ref: CollectionRef, index: int, cell: Cell) -> None:
        """Insert at a real index, 0 … size."""
        buffer = self._writing_list(ref)
        if index < buffer.size:
            self.structure += 1
        buffer.insert(index, cell)
        self._note_list(ref, LIST_INSERT, index)

    def list_set(self, ref: CollectionRef, index: int, cell: Cell) -> None:
        """Replace the element at a real index."""
        buffer = self._writing_list(ref)
        prop = self.element(ref)
        if self._leaves_something(prop):
            self._list_set_link(ref, prop, index, cell)
            return
        buffer.set(index, cell)
        self._note_list(ref, LIST_SET, index)

    def _list_set_link(self, ref: CollectionRef, prop: PropertyInfo, index: int, cell: Cell) -> None:
        """The same where the old element may own something, and either may be hidden."""
        buffer = self.list_buffer(ref)
        old = buffer.get(index)
        assert old is not None
        was_hidden = is_tombstone(prop, old)
        will_be_hidden = is_tombstone(prop, cell)
        if prop.type == MIXED or was_hidden == will_be_hidden:
            buffer.set(index, cell)
            self._note_list(ref, LIST_SET, index)
        elif was_hidden:
            buffer.set(index, cell)
            self._note_list(ref, LIST_INSERT, index)
        else:
            self._note_list(ref, LIST_ERASE, index)
            buffer.set(index, cell)
        self.release(prop, old)

    def list_erase(self, ref: CollectionRef, index: int) -> None:
        """Remove the element at a real index."""
        buffer = self._writing_list(ref)
        prop = self.element(ref)
        old = buffer.get(index) if self._leaves_something(prop) else None
        self._note_list(ref, LIST_ERASE, index)
        self.structure += 1
        buffer.erase(index)
        if old is not None:
            self.release(prop, old)

    def list_move(self, ref: CollectionRef, source: int, target: int) -> None:
        """Move an element between real indexes."""
        buffer = self._writing_list(ref)
        prop = self.element(ref)
        self.structure += 1
        if prop.type != MIXED and prop.tied and self.has_tombstones(prop.target_id):
            before = self._visible(ref, source)
            hidden = is_tombstone(prop, cast(Cell, buffer.get(source)))
            buffer.move(source, target)
            if not hidden and self._note_collection(ref):
                after = self._visible(ref, target)
                self.changes.note_list(ref.property_id, ref.owner, LIST_MOVE, before, after)
            return
        buffer.move(source, target)
        if self._note_collection(ref):
            self.changes.note_list(ref.property_id, ref.owner, LIST_MOVE, source, target)

    def list_clear(self, ref: CollectionRef) -> None:
        """Remove all elements."""
        buffer = self._writing_list(ref)
        prop = self.element(ref)
        visible = buffer.size
        doomed: list[Doomed] = []
        if self._leaves_something(prop):
            cells = buffer.load()
            if prop.type != MIXED:
                visible -= len(self.hidden(ref))
            for cell in cells:
                self._doom(prop, cell, doomed)
        buffer.clear()
        if self._note_collection(ref):
            self.changes.note_list(ref.property_id, ref.owner, LIST_CLEAR, visible)
        self.drop(doomed)

    def member_put(self, ref: CollectionRef, place: Place, cell: Cell) -> None:
        """Create or replace a set's member or a dictionary's entry."""
        buffer = self._writing_members(ref)
        prop = self.element(ref)
        old = buffer.get(place) if self._leaves_something(prop) else None
        buffer.put(place, cell)
        self._note_member(ref, DICT_SET, place)
        if old is not None:
            self.release(prop, old)

    def member_erase(self, ref: CollectionRef, place: Place) -> None:
        """Remove a set's member or a dictionary's entry that is there."""
        buffer = self._writing_members(ref)
        prop = self.element(ref)
        old = buffer.get(place)
        buffer.erase(place)
        self._note_member(ref, DICT_ERASE, place)
        if prop.tied and old is not None:
            self.release(prop, old)

    def member_clear(self, ref: CollectionRef) -> None:
        """Remove all members or entries."""
        buffer = self._writing_members(ref)
        prop = self.element(ref)
        doomed: list[Doomed] = []
        if self._leaves_something(prop):
            for _, cell in buffer.members():
                self._doom(prop, cell, doomed)
        buffer.clear()
        if self._note_collection(ref):
            self.changes.note_dict(ref.property_id, ref.owner, DICT_CLEAR, "")
        self.drop(doomed)

    # --- notes for observers ------------------------------------------------------------------------------------------

    def _note_collection(self, ref: CollectionRef) -> bool:
        """The property that holds the collection was written. Returns whether its operations are worth noting.

        They are if somebody may observe it: it was there before the transaction.
        """
        if ref.property_id:
            rows = self.rows(self.element(ref).class_id)
            self.note(rows, ref.owner, ref.property_id)
            return ref.owner < rows.first_new
        node = self.existing_node(ref.owner)
        self.note(self.rows(node.class_id), node.owner, node.property_id)
        return self._first_node < 0 or ref.owner < self._first_node

    def _note_list(self, ref: CollectionRef, operation: int, index: int) -> None:
        """Note an operation on the element now at a real index; one on a hidden element is not seen."""
        if not self._note_collection(ref):
            return
        prop = self.element(ref)
        if prop.tied and prop.type != MIXED and self.has_tombstones(prop.target_id):
            cell = self.list_buffer(ref).get(index)
            if cell is None or is_tombstone(prop, cell):
                return
            index = self._visible(ref, index)
        self.changes.note_list(ref.property_id, ref.owner, operation, index)

    def _visible(self, ref: CollectionRef, index: int) -> int:
        return index - sum(1 for place in self.hidden(ref) if place < index)

    def _note_member(self, ref: CollectionRef, operation: int, place: Place) -> None:
        if self._note_collection(ref) and ref.kind == DICTIONARY_COLLECTION:
            self.changes.note_dict(ref.property_id, ref.owner, operation, text_from_sql(place))

    # --- what goes with a value ---------------------------------------------------------------------------------------

    def _leaves_something(self, prop: PropertyInfo) -> bool:
        """Whether what a value owned, or a tombstone it linked to, has to be looked after when the value goes."""
        return prop.tied and (prop.type == MIXED or prop.embedded or self.has_tombstones(prop.target_id))

    def release(self, prop: PropertyInfo, cell: Cell) -> None:
        """The value was taken out of its place: what it owned goes too."""
        doomed: list[Doomed] = []
        self._doom(prop, cell, doomed)
        if doomed:
            self.drop(doomed)

    def _doom(self, prop: PropertyInfo, cell: Cell, doomed: list[Doomed]) -> None:
        """Add what the value owns to ``doomed``; a tombstone that may have lost its last link becomes a suspect."""
        if prop.type == MIXED:
            tag = cell[0]
            if tag in (LIST_TAG, DICTIONARY_TAG):
                doomed.append((0, cast(int, cell[1])))
            elif tag == LINK_TAG and cast(int, cell[1]) < 0:
                self.suspects.add((cast(int, cell[3]), -1 - cast(int, cell[1])))
            return
        k = cell[0]
        if k is None:
            return
        number = cast(int, k)
        if number < 0:
            self.suspects.add((prop.target_id, -1 - number))
        elif prop.embedded:
            doomed.append((prop.target_id, number))

    def drop(self, doomed: list[Doomed]) -> None:
        """Delete objects (without looking for links to them) and nodes, and everything they own."""
        while doomed:
            class_id, number = doomed.pop()
            if class_id:
                self._drop_object(class_id, number, doomed)
            else:
                self._drop_node(number, doomed)

    def _drop_object(self, class_id: int, k: int, doomed: list[Doomed]) -> None:
        self.relieve()
        self.dirty = True
        rows = self.rows(class_id)
        info = rows.info
        if info.tied:
            row = rows.row(k)
            for prop in info.tied:
                self._doom(prop, row[prop.slot : prop.slot + len(prop.columns)], doomed)
        for prop in info.collections:
            self._drop_elements(CollectionRef(prop.collection, prop.id, k), prop, doomed)
        rows.remove(k)
        self.changes.note_deleted(class_id, k)

    def _drop_node(self, number: int, doomed: list[Doomed]) -> None:
        node = self.node(number)
        if node is None:
            return
        ref = CollectionRef(node.kind, 0, number)
        self._drop_elements(ref, self.element(ref), doomed)
        self._nodes.pop(number, None)
        if self._new_nodes.pop(number, None) is None:
            self._gone_nodes.add(number)

    def _drop_elements(self, ref: CollectionRef, prop: PropertyInfo, doomed: list[Doomed]) -> None:
        """Remove all elements of a collection whose owner goes for good."""
        untouched = self._is_new(ref) and ref not in self._lists and ref not in self._members
        if untouched:
            return
        if self._leaves_something(prop):
            if ref.kind == LIST_COLLECTION:
                cells = self.list_buffer(ref).load()
            else:
                cells = [cell for _, cell in self.member_buffer(ref).members()]
            for cell in cells:
                self._doom(prop, cell, doomed)
        table = self.table(ref)
        buffer = self._lists.pop(ref, None)
        if buffer is not None:
            buffer.discard()
        members = self._members.pop(ref, None)
        if members is not None:
            members.discard()
        self._clears.setdefault(table.clear_sql, []).append((ref.owner,))


def is_tombstone(prop: PropertyInfo, cell: Cell) -> bool:
    """Whether the value of a link property (or element) is a link to a tombstone."""
    value = cell[0]
    return prop.type != MIXED and prop.tied and isinstance(value, int) and value < 0
