"""Recorded operations on lists, sets and dictionaries, wherever they are (spec/changesets.md §9.2, §9.5).

Checks the value, writes the instruction, changes the workspace: in that order, so that a refused operation leaves
nothing behind. Indexes given are visible ones; those in instructions are real ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias, cast

from syncline.changesets.instructions import (
    ArrayInsert,
    ArrayMove,
    Clear,
    SetErase,
    SetInsert,
    Update,
)
from syncline.errors import InvalidatedObjectError, InvalidDictionaryKeyError, OutOfBoundsError, TypeMismatchError
from syncline.storage.catalogue import PropertyInfo
from syncline.storage.columns import (
    DICTIONARY_TAG,
    LIST_TAG,
    Cell,
    Value,
    cell_sort_key,
    encode,
    kind_of,
    link_cell,
    mismatch,
    text_to_sql,
)
from syncline.storage.deletion import erase_element
from syncline.storage.reader import Reader, fitted
from syncline.storage.recording import Address, Recorder
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.storage.workspace import Workspace
from syncline.values import Link
from syncline.values.kinds import (
    DICTIONARY,
    DICTIONARY_COLLECTION,
    ERASED,
    LINK,
    LIST,
    LIST_COLLECTION,
    MIXED,
    OBJECT,
    SET_COLLECTION,
)

__all__ = ["CollectionWriter", "Prepared"]

_COLLECTION_KINDS: Final[dict[int, int]] = {LIST_COLLECTION: LIST, DICTIONARY_COLLECTION: DICTIONARY}
_COLLECTION_TAGS: Final[dict[int, int]] = {LIST_COLLECTION: LIST_TAG, DICTIONARY_COLLECTION: DICTIONARY_TAG}


#: A checked value: its cell, and kind and value as they stand in an instruction.
Prepared: TypeAlias = "tuple[Cell, int, object]"


class CollectionWriter(Reader):
    """The part of a write transaction that changes collections."""

    workspace: Workspace
    recorder: Recorder

    # --- values -----------------------------------------------------------------------------------------------------

    def _prepare(self, prop: PropertyInfo, root: PropertyInfo, value: Value) -> Prepared:
        """Check a value for a place of ``prop``; ``root`` is the property of the object, which differs inside a Mixed.

        Raises TypeMismatchError, LimitExceededError or InvalidatedObjectError (a link to an object that does not
        exist).
        """
        kind = kind_of(value)
        if kind == LINK:
            return self._prepare_link(prop, root, cast(ObjectRef, value))
        kind, value = fitted(prop, kind, value)
        return encode(prop, kind, value), kind, value

    def _prepare_link(self, prop: PropertyInfo, root: PropertyInfo, ref: ObjectRef) -> Prepared:
        target = self.workspace.catalogue.by_id.get(ref.class_id)
        if target is None:
            raise InvalidatedObjectError("the class of the linked object was removed")
        if prop.type == MIXED:
            if target.embedded or target.asymmetric:
                raise TypeMismatchError(
                    f"a mixed value cannot link to {target.name!r}: its objects cannot be linked to"
                )
            if self.workspace.catalogue.by_id[root.class_id].asymmetric:
                raise TypeMismatchError("mixed values of asymmetric objects cannot hold links")
        elif prop.type != LINK:
            raise mismatch(prop, LINK)
        elif prop.target_id != target.id:
            raise TypeMismatchError(f"property {prop.name!r} links to {prop.target!r}, not to {target.name!r}")
        elif prop.embedded:
            raise TypeMismatchError(f"property {prop.name!r} owns its object: create a new embedded object there")
        key = self.workspace.key_of(target, ref.object_key)
        if root.type == MIXED:
            self.workspace.note_incoming(target.id, root)
        return link_cell(prop, target.id, ref.object_key), LINK, Link(target.name, key)

    def _root(self, ref: CollectionRef) -> PropertyInfo:
        """The property in whose value the collection lies. Raises InvalidatedObjectError."""
        if ref.property_id:
            return self.workspace.element(ref)
        return self.workspace.catalogue.properties[self.workspace.existing_node(ref.owner).property_id]

    def _place(self, ref: CollectionRef) -> Address | None:
        """The collection as instructions name it; None when nothing is recorded. Raises InvalidatedObjectError."""
        if self.recorder.enabled:
            return self.recorder.collection_address(ref)
        if not self.workspace.collection_exists(ref):
            raise InvalidatedObjectError("the object of this collection was deleted")
        return None

    def _embedded_element(self, ref: CollectionRef, kind: int) -> PropertyInfo:
        prop = self.workspace.element(ref)
        if not prop.embedded or ref.kind != kind:
            raise TypeMismatchError(f"property {prop.name!r} does not hold embedded objects of its own")
        return prop

    def _new_node(self, ref: CollectionRef, collection: int) -> Cell:
        """A new collection that will be an element of ``ref``."""
        self._check_mixed(self.workspace.element(ref), collection)
        if ref.property_id:
            prop = self.workspace.element(ref)
            return self.workspace.create_node(collection, prop.class_id, ref.owner, prop.id, 0)
        node = self.workspace.existing_node(ref.owner)
        return self.workspace.create_node(collection, node.class_id, node.owner, node.property_id, ref.owner)

    @staticmethod
    def _check_mixed(prop: PropertyInfo, collection: int) -> None:
        if prop.type != MIXED or (prop.collection == SET_COLLECTION and prop.id):
            raise TypeMismatchError(f"property {prop.name!r} cannot hold a collection: it is not mixed")
        if collection not in _COLLECTION_KINDS:
            raise TypeMismatchError("a mixed value can hold a list or a dictionary, no other collection")

    # --- lists ------------------------------------------------------------------------------------------------------

    def _insertion_index(self, ref: CollectionRef, index: int) -> int:
        """The real index of an insertion. Raises OutOfBoundsError."""
        self._require(ref, LIST_COLLECTION)
        hidden = self._hidden(ref)
        size = self.workspace.list_size(ref) - len(hidden)
        if not 0 <= index <= size:
            raise OutOfBoundsError(f"index {index} is outside the list of {size}")
        return self.list_real_index(ref, index) if hidden else index

    def _element_index(self, ref: CollectionRef, index: int) -> int:
        """The real index of an element. Raises OutOfBoundsError."""
        self._require(ref, LIST_COLLECTION)
        hidden = self._hidden(ref)
        size = self.workspace.list_size(ref) - len(hidden)
        if not 0 <= index < size:
            raise OutOfBoundsError(f"index {index} is outside the list of {size}")
        return self.list_real_index(ref, index) if hidden else index

    @staticmethod
    def _require(ref: CollectionRef, kind: int) -> None:
        if ref.kind != kind:
            names = ("value", "list", "dictionary", "set")
            raise TypeMismatchError(f"this collection is a {names[ref.kind]}, not a {names[kind]}")

    def list_insert(self, ref: CollectionRef, index: int, value: Value) -> None:
        """Insert before the visible index; the size appends.

        Raises OutOfBoundsError, TypeMismatchError, LimitExceededError.
        """
        real = self._insertion_index(ref, index)
        place = self._place(ref)
        cell, kind, payload = self._prepare(self.workspace.element(ref), self._root(ref), value)
        self._insert(ref, place, real, cell, kind, payload)

    def _insert(
        self, ref: CollectionRef, place: Address | None, real: int, cell: Cell, kind: int, payload: object
    ) -> None:
        if place is not None:
            table, key, field, path, _ = place
            size = self.workspace.list_size(ref)
            self.recorder.add(ArrayInsert(table, key, field, (*path, real), kind, payload, size), place)
        self.workspace.list_insert(ref, real, cell)

    def list_insert_embedded(self, ref: CollectionRef, index: int) -> ObjectRef:
        """Insert a new embedded object."""
        prop = self._embedded_element(ref, LIST_COLLECTION)
        real = self._insertion_index(ref, index)
        place = self._place(ref)
        k = self.workspace.create_embedded(prop.class_id, ref.owner, prop)
        self._insert(ref, place, real, (k,), OBJECT, None)
        return ObjectRef(prop.target_id, k)

    def list_insert_collection(self, ref: CollectionRef, index: int, collection: int) -> CollectionRef:
        """Insert an empty list or dictionary into a list of Mixed."""
        real = self._insertion_index(ref, index)
        place = self._place(ref)
        cell = self._new_node(ref, collection)
        self._insert(ref, place, real, cell, _COLLECTION_KINDS[collection], None)
        return CollectionRef(collection, 0, cast(int, cell[1]))

    def list_set(self, ref: CollectionRef, index: int, value: Value) -> None:
        """Replace the element at the visible index. Raises OutOfBoundsError, TypeMismatchError, LimitExceededError."""
        real = self._element_index(ref, index)
        place = self._place(ref)
        cell, kind, payload = self._prepare(self.workspace.element(ref), self._root(ref), value)
        self._record_element(ref, place, real, kind, payload)
        self.workspace.list_set(ref, real, cell)

    def _record_element(self, ref: CollectionRef, place: Address | None, real: int, kind: int, payload: object) -> None:
        if place is not None:
            table, key, field, path, _ = place
            size = self.workspace.list_size(ref)
            self.recorder.add(Update(table, key, field, (*path, real), kind, payload, False, size), place)

    def list_set_embedded(self, ref: CollectionRef, index: int) -> ObjectRef:
        """Replace the embedded object at the index by a new one."""
        self._embedded_element(ref, LIST_COLLECTION)
        self.list_erase(ref, index)
        return self.list_insert_embedded(ref, index)

    def list_set_collection(self, ref: CollectionRef, index: int, collection: int) -> CollectionRef:
        """Make the element of a list of Mixed a list or dictionary; one of that kind stays with its content."""
        real = self._element_index(ref, index)
        self._check_mixed(self.workspace.element(ref), collection)
        place = self._place(ref)
        cell = cast(Cell, self.workspace.member(ref, real))
        kept = cell[0] == _COLLECTION_TAGS[collection]
        if not kept:
            cell = self._new_node(ref, collection)
        self._record_element(ref, place, real, _COLLECTION_KINDS[collection], None)
        if not kept:
            self.workspace.list_set(ref, real, cell)
        return CollectionRef(collection, 0, cast(int, cell[1]))

    def list_extend(self, ref: CollectionRef, values: Iterable[Value]) -> None:
        """Append the values, all or (if one is refused) none. Raises TypeMismatchError, LimitExceededError."""
        self._require(ref, LIST_COLLECTION)
        place = self._place(ref)
        prop = self.workspace.element(ref)
        root = self._root(ref)
        prepared = [self._prepare(prop, root, value) for value in values]
        real = self.workspace.list_size(ref)
        for cell, kind, payload in prepared:
            self._insert(ref, place, real, cell, kind, payload)
            real += 1

    def list_erase(self, ref: CollectionRef, index: int) -> None:
        """Remove the element at the visible index; an embedded object there is deleted. Raises OutOfBoundsError."""
        real = self._element_index(ref, index)
        erase_element(self.workspace, self.recorder, ref, self._place(ref), real)

    def list_erase_range(self, ref: CollectionRef, start: int, stop: int) -> None:
        """Remove elements ``start`` … ``stop`` - 1, the last one first. Raises OutOfBoundsError."""
        if start < stop:
            self._element_index(ref, start)
            self._element_index(ref, stop - 1)
        for index in range(stop - 1, start - 1, -1):
            self.list_erase(ref, index)

    def list_move(self, ref: CollectionRef, source: int, target: int) -> None:
        """Move an element so that its index becomes ``target``; onto itself does nothing. Raises OutOfBoundsError."""
        real_source = self._element_index(ref, source)
        real_target = self._element_index(ref, target)
        place = self._place(ref)
        if real_source != real_target:
            self._move(ref, place, real_source, real_target)

    def _move(self, ref: CollectionRef, place: Address | None, source: int, target: int) -> None:
        if place is not None:
            table, key, field, path, _ = place
            size = self.workspace.list_size(ref)
            self.recorder.add(ArrayMove(table, key, field, (*path, source), target, size), place)
        self.workspace.list_move(ref, source, target)

    def list_swap(self, ref: CollectionRef, first: int, second: int) -> None:
        """Exchange two elements (recorded as one or two moves, spec/changesets.md §9.2). Raises OutOfBoundsError."""
        a = self._element_index(ref, min(first, second))
        b = self._element_index(ref, max(first, second))
        place = self._place(ref)
        if a != b:
            self._move(ref, place, b, a)
            if a + 1 != b:
                self._move(ref, place, a + 1, b)

    def list_clear(self, ref: CollectionRef) -> None:
        """Remove all elements, hidden ones too; an empty list property records nothing."""
        self._require(ref, LIST_COLLECTION)
        place = self._place(ref)
        if self._records_clear(ref, self.workspace.list_size(ref)):
            self._record_clear(place, LIST_COLLECTION)
            self.workspace.list_clear(ref)

    @staticmethod
    def _records_clear(ref: CollectionRef, size: int) -> bool:
        """A collection in a Mixed is cleared even if it is empty (spec/changesets.md §9.2)."""
        return size > 0 or ref.property_id == 0

    def _record_clear(self, place: Address | None, collection: int) -> None:
        if place is not None:
            table, key, field, path, _ = place
            self.recorder.add(Clear(table, key, field, path, collection), place)

    # --- sets -------------------------------------------------------------------------------------------------------

    def set_insert(self, ref: CollectionRef, value: Value) -> bool:
        """Add a member; False if an equal one was there. Raises TypeMismatchError, LimitExceededError."""
        self._require(ref, SET_COLLECTION)
        place = self._place(ref)
        prop = self.workspace.element(ref)
        cell, kind, payload = self._prepare(prop, prop, value)
        member = cell_sort_key(prop, cell)
        if self.workspace.member(ref, member) is not None:
            return False
        if place is not None:
            table, key, field, path, _ = place
            self.recorder.add(SetInsert(table, key, field, path, kind, payload), place)
        self.workspace.member_put(ref, member, cell)
        return True

    def set_erase(self, ref: CollectionRef, value: Value) -> bool:
        """Remove a member; False if there was none. Raises TypeMismatchError, LimitExceededError."""
        self._require(ref, SET_COLLECTION)
        place = self._place(ref)
        prop = self.workspace.element(ref)
        cell, kind, payload = self._prepare(prop, prop, value)
        member = cell_sort_key(prop, cell)
        if self.workspace.member(ref, member) is None:
            return False
        if place is not None:
            table, key, field, path, _ = place
            self.recorder.add(SetErase(table, key, field, path, kind, payload), place)
        self.workspace.member_erase(ref, member)
        return True

    def set_clear(self, ref: CollectionRef) -> None:
        """Remove all members; an empty set records nothing."""
        self._require(ref, SET_COLLECTION)
        place = self._place(ref)
        if self.workspace.member_count(ref):
            self._record_clear(place, SET_COLLECTION)
            self.workspace.member_clear(ref)

    # --- dictionaries -----------------------------------------------------------------------------------------------

    def dict_set(self, ref: CollectionRef, key: str, value: Value) -> bool:
        """Create or replace an entry; whether it was created.

        Raises LimitExceededError for a forbidden key (spec/sdk.md §1.6) or value, TypeMismatchError.
        """
        entry = self._check_entry(ref, key)
        place = self._place(ref)
        cell, kind, payload = self._prepare(self.workspace.element(ref), self._root(ref), value)
        created = self.workspace.member(ref, entry) is None
        self._record_entry(place, key, kind, payload)
        self.workspace.member_put(ref, entry, cell)
        return created

    def _check_entry(self, ref: CollectionRef, key: str) -> str | bytes:
        self._require(ref, DICTIONARY_COLLECTION)
        return dictionary_key(key)

    def _record_entry(self, place: Address | None, entry: str, kind: int, payload: object) -> None:
        if place is not None:
            table, key, field, path, _ = place
            self.recorder.add(Update(table, key, field, (*path, entry), kind, payload), place)

    def dict_set_embedded(self, ref: CollectionRef, key: str) -> ObjectRef:
        """A new embedded object under the key, instead of the one that may be there."""
        prop = self._embedded_element(ref, DICTIONARY_COLLECTION)
        entry = self._check_entry(ref, key)
        place = self._place(ref)
        k = self.workspace.create_embedded(prop.class_id, ref.owner, prop)
        self._record_entry(place, key, OBJECT, None)
        self.workspace.member_put(ref, entry, (k,))
        return ObjectRef(prop.target_id, k)

    def dict_set_collection(self, ref: CollectionRef, key: str, collection: int) -> CollectionRef:
        """Make the entry of a dictionary of Mixed a list or dictionary; one of that kind stays with its content."""
        entry = self._check_entry(ref, key)
        self._check_mixed(self.workspace.element(ref), collection)
        place = self._place(ref)
        cell = self.workspace.member(ref, entry)
        if cell is None or cell[0] != _COLLECTION_TAGS[collection]:
            cell = self._new_node(ref, collection)
            self._record_entry(place, key, _COLLECTION_KINDS[collection], None)
            self.workspace.member_put(ref, entry, cell)
        else:
            self._record_entry(place, key, _COLLECTION_KINDS[collection], None)
        return CollectionRef(collection, 0, cast(int, cell[1]))

    def dict_erase(self, ref: CollectionRef, key: str) -> bool:
        """Remove an entry; False if there was none."""
        entry = self._check_entry(ref, key)
        place = self._place(ref)
        if self.workspace.member(ref, entry) is None:
            return False
        self._record_entry(place, key, ERASED, None)
        self.workspace.member_erase(ref, entry)
        return True

    def dict_clear(self, ref: CollectionRef) -> None:
        """Remove all entries; an empty dictionary property records nothing."""
        self._require(ref, DICTIONARY_COLLECTION)
        place = self._place(ref)
        if self._records_clear(ref, self.workspace.member_count(ref)):
            self._record_clear(place, DICTIONARY_COLLECTION)
            self.workspace.member_clear(ref)


def dictionary_key(key: str) -> str | bytes:
    """A dictionary key as SQLite has it.

    Raises InvalidDictionaryKeyError for one that peers refuse (spec/sdk.md §1.6).
    """
    if key.startswith("$") or "." in key:
        raise InvalidDictionaryKeyError(f"dictionary key {key!r}: a key must not start with '$' nor contain '.'")
    return text_to_sql(key)
