"""Applier: carries out changesets that were made elsewhere (spec/changesets.md §10, spec/merge.md §7).

Deterministic, unrecorded, and strict: whatever a peer could not have meant is an InapplicableChangesetError that names
the instruction, but nothing that users wrote. Runs of Updates of plain properties, which are most of all traffic, go
straight into the row buffers; every other instruction first finds its place (:mod:`syncline.storage.places`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from syncline.changesets.changeset import Changeset
from syncline.changesets.describe import describe, key_text, name_text
from syncline.changesets.instructions import (
    ADD_COLUMN,
    ADD_INTEGER,
    ADD_TABLE,
    ARRAY_ERASE,
    ARRAY_INSERT,
    ARRAY_MOVE,
    CLEAR,
    CREATE_OBJECT,
    ERASE_COLUMN,
    ERASE_OBJECT,
    ERASE_TABLE,
    SET_ERASE,
    SET_INSERT,
    UPDATE,
    AddColumn,
    AddInteger,
    AddTable,
    ArrayErase,
    ArrayInsert,
    ArrayMove,
    Clear,
    EraseColumn,
    Instruction,
    ObjectInstruction,
    PathInstruction,
    SetErase,
    SetInsert,
    Update,
)
from syncline.errors import InapplicableChangesetError, LimitExceededError, RealmError, SchemaError, TypeMismatchError
from syncline.merge.resets import reset_of
from syncline.storage import evolution
from syncline.storage.catalogue import NOT_INDEXED, ClassInfo, PropertyInfo
from syncline.storage.columns import (
    DICTIONARY_TAG,
    INT_MAX,
    INT_TAG,
    LIST_TAG,
    Cell,
    cell_sort_key,
    check_key,
    encode,
    encode_scalar,
    link_cell,
)
from syncline.storage.links import bury, find_tombstone, link_target, revive
from syncline.storage.places import COLLECTION, ELEMENT, ENTRY, PROPERTY, Spot, entry_key, resolve
from syncline.storage.refs import CollectionRef
from syncline.storage.resetting import carry_out
from syncline.storage.rows import ClassRows
from syncline.storage.workspace import Workspace
from syncline.values import GlobalKey, Key, Link
from syncline.values.kinds import (
    DICTIONARY,
    DICTIONARY_COLLECTION,
    EMBEDDED,
    ERASED,
    GLOBAL_KEY,
    INT,
    KIND_NAMES,
    LINK,
    LIST,
    LIST_COLLECTION,
    MIXED,
    NULL,
    OBJECT,
    SET,
    SET_COLLECTION,
    SINGLE_COLLECTION,
    STRING,
)

__all__ = ["Applier"]

#: Keys below which looking them up together is not worth it.
_PREFETCH_MIN: Final = 4
_WRAP: Final = 1 << 64
#: What the parts that local writes use as well raise for things that do not fit.
_REFUSALS: Final = (SchemaError, TypeMismatchError, LimitExceededError)


class Applier:
    """Applies changesets to one workspace. ``file_ident``: this file's own, whose GlobalKeys it must not give twice."""

    def __init__(self, workspace: Workspace, file_ident: int) -> None:
        self._workspace = workspace
        self._file_ident = file_ident
        self._number = 0
        # the object that the last instruction spoke of
        self._table = ""
        self._key: Key = None
        self._rows: ClassRows | None = None
        self._k = -1

    # --- whole changesets -------------------------------------------------------------------------------------------

    def prefetch(self, changesets: Sequence[Changeset]) -> None:
        """Look up together all objects that the changesets name, where that is cheaper than one by one."""
        wanted: dict[str, set[Key]] = {}
        table = ""
        key: Key = None
        keys: set[Key] = set()
        for changeset in changesets:
            for instruction in changeset.instructions:
                if isinstance(instruction, ObjectInstruction):
                    if instruction.table != table or instruction.key is not key:
                        if instruction.table != table:
                            table = instruction.table
                            keys = wanted.setdefault(table, set())
                        key = instruction.key
                        keys.add(key)
                    if isinstance(instruction, Update) and instruction.kind == LINK:
                        link = cast(Link, instruction.value)
                        wanted.setdefault(link.table, set()).add(link.key)
        for name, found in wanted.items():
            info = self._workspace.catalogue.find(name)
            if info is not None and not info.embedded and len(found) >= _PREFETCH_MIN:
                self._workspace.rows(info.id).prefetch([key for key in found if fits(info, key)])

    def apply(self, changeset: Changeset) -> None:
        """Carry out one changeset. Raises InapplicableChangesetError; the workspace must be rolled back then."""
        self._forget()
        try:
            self._run(changeset.instructions)
        except InapplicableChangesetError as error:
            self._workspace.broken = True
            self._place(error, changeset.instructions[self._number])
            raise
        except _REFUSALS as refusal:
            self._workspace.broken = True
            translated = InapplicableChangesetError(str(refusal))
            self._place(translated, changeset.instructions[self._number])
            raise translated from refusal
        except BaseException:
            self._workspace.broken = True
            raise

    def _place(self, error: InapplicableChangesetError, instruction: Instruction) -> None:
        error.instruction = self._number
        error.subject = describe(instruction)
        error.culprit = instruction

    def _forget(self) -> None:
        self._table = ""
        self._rows = None
        self._k = -1

    def _run(self, instructions: list[Instruction]) -> None:
        for number, instruction in enumerate(instructions):
            self._number = number
            opcode = instruction.opcode
            if opcode == UPDATE:
                self._update(cast(Update, instruction))
            elif opcode == CREATE_OBJECT:
                self._create_object(cast(ObjectInstruction, instruction))
            elif opcode >= ARRAY_INSERT or opcode == ADD_INTEGER:
                self._path_instruction(cast(PathInstruction, instruction))
            elif opcode == ERASE_OBJECT:
                self._erase_object(cast(ObjectInstruction, instruction))
            else:
                self._schema_instruction(instruction)

    # --- objects ----------------------------------------------------------------------------------------------------

    def _class(self, table: str) -> ClassInfo:
        info = self._workspace.catalogue.classes.get(table)
        if info is None:
            raise InapplicableChangesetError(f"class {name_text(table)} does not exist")
        return info

    def _class_of_objects(self, table: str, key: Key) -> ClassInfo:
        """A class that has objects with such a key."""
        info = self._class(table)
        if info.embedded:
            raise InapplicableChangesetError(f"class {table} is embedded: its objects have no keys")
        check_key(table, info.primary_key, key)
        return info

    def _locate(self, table: str, key: Key) -> ClassRows:
        """Make the object the current one; its class's rows."""
        rows = self._rows
        if rows is None or table != self._table or key != self._key:
            self._workspace.relieve()
            info = self._class_of_objects(table, key)
            rows = self._workspace.rows(info.id)
            k = rows.find(key)
            if k < 0:
                raise InapplicableChangesetError(f"there is no object {table}{key_text(key)}")
            self._rows = rows
            self._table = table
            self._key = key
            self._k = k
        return rows

    def _create_object(self, instruction: ObjectInstruction) -> None:
        workspace = self._workspace
        table = instruction.table
        key = instruction.key
        rows = self._rows
        if rows is None or table != self._table:
            rows = workspace.rows(self._class_of_objects(table, key).id)
        else:
            check_key(table, rows.info.primary_key, key)
        k = rows.find(key)
        if k < 0:
            info = rows.info
            k = workspace.create(info, key)
            if isinstance(key, GlobalKey) and key.hi == self._file_ident:
                rows.reserve(key.lo)
            if workspace.has_tombstones(info.id):
                revive(workspace, info, key, k)
        self._rows = rows
        self._table = table
        self._key = key
        self._k = k

    def _erase_object(self, instruction: ObjectInstruction) -> None:
        info = self._class_of_objects(instruction.table, instruction.key)
        k = self._workspace.find(info, instruction.key)
        self._forget()
        if k >= 0:
            bury(self._workspace, info, instruction.key, k)

    # --- schema -----------------------------------------------------------------------------------------------------

    def _schema_instruction(self, instruction: Instruction) -> None:
        workspace = self._workspace
        self._forget()
        opcode = instruction.opcode
        if opcode == ADD_TABLE:
            table = cast(AddTable, instruction)
            key_type = GLOBAL_KEY if table.table_type == EMBEDDED else table.pk_type
            evolution.add_class(workspace, table.table, table.table_type, table.pk_field, key_type, table.pk_nullable)
        elif opcode == ADD_COLUMN:
            self._add_column(cast(AddColumn, instruction))
        elif opcode == ERASE_COLUMN:
            column = cast(EraseColumn, instruction)
            info = self._class(column.table)
            prop = info.properties.get(column.field)
            if prop is None:
                raise InapplicableChangesetError(f"class {info.name} has no property {name_text(column.field)}")
            evolution.erase_property(workspace, info, prop)
        else:
            assert opcode == ERASE_TABLE
            evolution.erase_class(workspace, self._class(instruction.table), True)

    def _add_column(self, column: AddColumn) -> None:
        if column.collection == DICTIONARY_COLLECTION and column.key_type != STRING:
            raise InapplicableChangesetError("the keys of a dictionary are strings")
        if column.value_type < 0:
            raise InapplicableChangesetError(f"{KIND_NAMES[column.value_type]} is no type of a property")
        evolution.add_property(
            self._workspace,
            self._class(column.table),
            column.field,
            column.value_type,
            column.nullable,
            column.collection,
            column.link_target if column.value_type == LINK else None,
            NOT_INDEXED,
        )

    # --- Update -----------------------------------------------------------------------------------------------------

    def _update(self, update: Update) -> None:
        rows = self._locate(update.table, update.key)
        if not update.path:
            prop = rows.info.properties.get(update.field)
            if prop is not None and prop.plain:
                kind = update.kind
                if kind == prop.type:
                    value = encode_scalar(kind, update.value)
                elif kind == NULL and prop.nullable:
                    value = None
                else:
                    raise InapplicableChangesetError(
                        f"property {prop.name} holds {KIND_NAMES[prop.type]} values, not {KIND_NAMES[kind]}"
                    )
                k = self._k
                row = rows.new.get(k)
                if row is not None:
                    row[prop.slot] = value
                else:
                    rows.changed_row(k)[prop.slot] = value
                    self._workspace.note(rows, k, prop.id)
                return
        spot = resolve(self._workspace, rows, self._k, update.field, update.path)
        reset = reset_of(update)
        if reset is not None:
            carry_out(self._workspace, spot, update, reset)
        elif spot.kind == PROPERTY:
            self._update_property(spot, update.kind, update.value)
        elif spot.kind == ELEMENT:
            self._update_element(spot, update.kind, update.value)
        elif spot.kind == ENTRY:
            self._update_entry(spot, update.kind, update.value)
        else:
            raise InapplicableChangesetError(f"property {spot.prop.name}: a whole collection cannot be updated")

    def _update_property(self, spot: Spot, kind: int, value: object) -> None:
        prop = spot.prop
        if prop.is_primary_key:
            raise InapplicableChangesetError(f"property {prop.name} is the primary key and never changes")
        workspace = self._workspace
        rows = spot.rows
        if kind == OBJECT:
            if not prop.embedded:
                raise InapplicableChangesetError(f"property {prop.name} does not hold embedded objects")
            if rows.cell(spot.k, prop)[0] is None:
                child = workspace.create_embedded(rows.info.id, spot.k, prop)
                workspace.set_cell(rows, spot.k, prop, (child,))
            return
        if kind in (LIST, DICTIONARY):
            if not self._is_collection(rows.cell(spot.k, prop), prop, kind):
                workspace.set_cell(rows, spot.k, prop, self._new_node(spot, kind))
            else:
                workspace.note(rows, spot.k, prop.id)
            return
        workspace.set_cell(rows, spot.k, prop, self._cell(prop, spot.root, kind, value))

    def _update_element(self, spot: Spot, kind: int, value: object) -> None:
        workspace = self._workspace
        ref = spot.collection
        index = cast(int, spot.place)
        cell = workspace.member(ref, index)
        if cell is None:
            raise InapplicableChangesetError(f"index {index} is outside the list of {workspace.list_size(ref)}")
        if kind == OBJECT:
            if not spot.prop.embedded:
                raise InapplicableChangesetError(f"property {spot.prop.name} does not hold embedded objects")
            return
        if kind in (LIST, DICTIONARY):
            if not self._is_collection(cell, spot.prop, kind):
                workspace.list_set(ref, index, self._new_node(spot, kind))
            return
        workspace.list_set(ref, index, self._cell(spot.prop, spot.root, kind, value))

    def _update_entry(self, spot: Spot, kind: int, value: object) -> None:
        workspace = self._workspace
        ref = spot.collection
        place = entry_key(cast(str, spot.place))
        prop = spot.prop
        if kind == ERASED:
            if workspace.member(ref, place) is not None:
                workspace.member_erase(ref, place)
            return
        if kind == OBJECT:
            if not prop.embedded:
                raise InapplicableChangesetError(f"property {prop.name} does not hold embedded objects")
            cell: Cell = (workspace.create_embedded(prop.class_id, ref.owner, prop),)
        elif kind in (LIST, DICTIONARY):
            existing = workspace.member(ref, place)
            if existing is not None and self._is_collection(existing, prop, kind):
                return
            cell = self._new_node(spot, kind)
        else:
            cell = self._cell(prop, spot.root, kind, value)
        workspace.member_put(ref, place, cell)

    # --- values -----------------------------------------------------------------------------------------------------

    def _cell(self, prop: PropertyInfo, root: PropertyInfo, kind: int, value: object) -> Cell:
        """The cell of a scalar, null or link; a link to what does not exist makes a tombstone."""
        if kind == LINK:
            link = cast(Link, value)
            target = self._link_class(prop, link)
            if root.type == MIXED:
                self._workspace.note_incoming(target.id, root)
            return link_cell(prop, target.id, link_target(self._workspace, target, link.key))
        if kind < 0:
            raise InapplicableChangesetError(f"property {prop.name} cannot hold {KIND_NAMES.get(kind, str(kind))} here")
        return encode(prop, kind, value)

    def _link_class(self, prop: PropertyInfo, link: Link) -> ClassInfo:
        """The class of a link's target, checked against the property (spec/changesets.md §10.3, §10.5)."""
        target = self._class_of_objects(link.table, link.key)
        if prop.type != MIXED and (prop.type != LINK or prop.target_id != target.id):
            raise InapplicableChangesetError(f"property {prop.name} cannot hold a link to class {target.name}")
        return target

    @staticmethod
    def _is_collection(cell: Cell, prop: PropertyInfo, kind: int) -> bool:
        """Whether a Mixed place holds a collection of that kind already. Raises for a place that cannot hold one."""
        if prop.type != MIXED:
            raise InapplicableChangesetError(f"property {prop.name} cannot hold a collection: it is not mixed")
        return cell[0] == (LIST_TAG if kind == LIST else DICTIONARY_TAG)

    def _new_node(self, spot: Spot, kind: int) -> Cell:
        """A new empty collection for a Mixed place."""
        if spot.prop.type != MIXED:
            raise InapplicableChangesetError(f"property {spot.prop.name} cannot hold a collection: it is not mixed")
        collection = LIST_COLLECTION if kind == LIST else DICTIONARY_COLLECTION
        parent = 0
        if spot.kind != PROPERTY and spot.collection.property_id == 0:
            parent = spot.collection.owner
        return self._workspace.create_node(collection, spot.rows.info.id, spot.k, spot.root.id, parent)

    # --- the other path instructions ----------------------------------------------------------------------------------

    def _path_instruction(self, instruction: PathInstruction) -> None:
        rows = self._locate(instruction.table, instruction.key)
        spot = resolve(self._workspace, rows, self._k, instruction.field, instruction.path)
        opcode = instruction.opcode
        if opcode == ARRAY_INSERT:
            self._array_insert(spot, cast(ArrayInsert, instruction))
        elif opcode == ADD_INTEGER:
            self._add_integer(spot, cast(AddInteger, instruction).value)
        elif opcode == ARRAY_MOVE:
            self._array_move(spot, cast(ArrayMove, instruction))
        elif opcode == ARRAY_ERASE:
            self._array_erase(spot, cast(ArrayErase, instruction))
        elif opcode == CLEAR:
            self._clear(spot, cast(Clear, instruction).collection)
        elif opcode == SET_INSERT:
            insertion = cast(SetInsert, instruction)
            self._set_insert(spot, insertion.kind, insertion.value)
        else:
            assert opcode == SET_ERASE
            erasure = cast(SetErase, instruction)
            self._set_erase(spot, erasure.kind, erasure.value)

    def _add_integer(self, spot: Spot, value: int) -> None:
        prop = spot.prop
        if spot.kind != PROPERTY or prop.type not in (INT, MIXED) or prop.is_primary_key:
            raise InapplicableChangesetError(f"property {prop.name} is no place to add an integer")
        cell = spot.rows.cell(spot.k, prop)
        if cell[0] is None:  # what was there may have become null on the other side meanwhile (spec/merge.md §5.6)
            return
        if prop.type == MIXED:
            if cell[0] != INT_TAG:
                raise InapplicableChangesetError(f"the mixed property {prop.name} holds no integer to add to")
            number = cast(int, cell[1])
        else:
            number = cast(int, cell[0])
        number = (number + value) % _WRAP
        if number > INT_MAX:
            number -= _WRAP
        self._workspace.set_cell(spot.rows, spot.k, prop, encode(prop, INT, number))

    def _list(self, spot: Spot, prior_size: int) -> CollectionRef:
        """The list in which the spot is an element, of exactly that size."""
        if spot.kind != ELEMENT:
            raise InapplicableChangesetError("the path does not lead to a list element")
        size = self._workspace.list_size(spot.collection)
        if size != prior_size:
            raise InapplicableChangesetError(f"the list has {size} elements, not {prior_size}")
        return spot.collection

    def _array_insert(self, spot: Spot, instruction: ArrayInsert) -> None:
        ref = self._list(spot, instruction.prior_size)
        index = cast(int, spot.place)
        if index > instruction.prior_size:
            raise InapplicableChangesetError(f"index {index} is outside the list of {instruction.prior_size}")
        kind = instruction.kind
        prop = spot.prop
        if kind == OBJECT:
            if not prop.embedded:
                raise InapplicableChangesetError(f"property {prop.name} does not hold embedded objects")
            cell: Cell = (self._workspace.create_embedded(prop.class_id, ref.owner, prop),)
        elif kind in (LIST, DICTIONARY):
            cell = self._new_node(spot, kind)
        else:
            cell = self._cell(prop, spot.root, kind, instruction.value)
        self._workspace.list_insert(ref, index, cell)

    def _array_move(self, spot: Spot, instruction: ArrayMove) -> None:
        ref = self._list(spot, instruction.prior_size)
        source = cast(int, spot.place)
        target = instruction.ndx_2
        if source >= instruction.prior_size or target >= instruction.prior_size:
            raise InapplicableChangesetError(f"a move from {source} to {target} leaves the list")
        if source == target:
            raise InapplicableChangesetError(f"a move from {source} to the same place")
        self._workspace.list_move(ref, source, target)

    def _array_erase(self, spot: Spot, instruction: ArrayErase) -> None:
        ref = self._list(spot, instruction.prior_size)
        index = cast(int, spot.place)
        if index >= instruction.prior_size:
            raise InapplicableChangesetError(f"index {index} is outside the list of {instruction.prior_size}")
        self._workspace.list_erase(ref, index)

    def _clear(self, spot: Spot, collection: int) -> None:
        if spot.kind == COLLECTION:
            ref = spot.collection
            if collection not in (SINGLE_COLLECTION, ref.kind):
                raise InapplicableChangesetError(f"property {spot.prop.name} is a collection of another kind")
            self._empty(ref)
            return
        if spot.prop.type != MIXED:
            raise InapplicableChangesetError(f"property {spot.prop.name} is no collection and cannot be cleared")
        if collection not in (LIST_COLLECTION, DICTIONARY_COLLECTION):
            raise InapplicableChangesetError("a mixed value can become an empty list or dictionary, nothing else")
        self._clear_mixed(spot, LIST if collection == LIST_COLLECTION else DICTIONARY)

    def _clear_mixed(self, spot: Spot, kind: int) -> None:
        """Make a Mixed place an empty list or dictionary; a collection of that kind is emptied and stays itself."""
        workspace = self._workspace
        place = spot.place
        if spot.kind == PROPERTY:
            cell: Cell | None = spot.rows.cell(spot.k, spot.prop)
        else:
            if spot.kind == ENTRY:
                place = entry_key(cast(str, place))
            cell = workspace.member(spot.collection, place)
            if cell is None and spot.kind == ELEMENT:
                raise InapplicableChangesetError(f"index {place!r} is outside the list")
        if cell is not None and self._is_collection(cell, spot.prop, kind):
            collection = LIST_COLLECTION if kind == LIST else DICTIONARY_COLLECTION
            self._empty(CollectionRef(collection, 0, cast(int, cell[1])))
            return
        cell = self._new_node(spot, kind)
        if spot.kind == PROPERTY:
            workspace.set_cell(spot.rows, spot.k, spot.prop, cell)
        elif spot.kind == ELEMENT:
            workspace.list_set(spot.collection, cast(int, place), cell)
        else:
            workspace.member_put(spot.collection, place, cell)

    def _empty(self, ref: CollectionRef) -> None:
        if ref.kind == LIST_COLLECTION:
            if self._workspace.list_size(ref):
                self._workspace.list_clear(ref)
        elif self._workspace.member_count(ref):
            self._workspace.member_clear(ref)

    # --- sets -------------------------------------------------------------------------------------------------------

    def _set(self, spot: Spot, kind: int) -> CollectionRef:
        if spot.kind != COLLECTION or spot.collection.kind != SET_COLLECTION:
            raise InapplicableChangesetError(f"property {spot.prop.name} is no set")
        if kind in (OBJECT, LIST, DICTIONARY, SET, ERASED):
            raise InapplicableChangesetError(f"a set cannot hold {KIND_NAMES[kind]}")
        return spot.collection

    def _set_insert(self, spot: Spot, kind: int, value: object) -> None:
        ref = self._set(spot, kind)
        cell = self._cell(spot.prop, spot.root, kind, value)
        member = cell_sort_key(spot.prop, cell)
        # an equal value may be written in another way (1 and 1.00): as merging decided, the one that comes stays
        if self._workspace.member(ref, member) != cell:
            self._workspace.member_put(ref, member, cell)

    def _set_erase(self, spot: Spot, kind: int, value: object) -> None:
        workspace = self._workspace
        ref = self._set(spot, kind)
        prop = spot.prop
        if kind == LINK:
            link = cast(Link, value)
            target = self._link_class(prop, link)
            k = workspace.find(target, link.key)
            if k < 0:
                k = -1 - find_tombstone(workspace, target, link.key)
                if k == 0:
                    return  # no tombstone: nobody links to it
            cell = link_cell(prop, target.id, k)
        else:
            cell = encode(prop, kind, value)
        member = cell_sort_key(prop, cell)
        if workspace.member(ref, member) is not None:
            workspace.member_erase(ref, member)


def fits(info: ClassInfo, key: Key) -> bool:
    """Whether objects of the class can have such a key."""
    try:
        check_key(info.name, info.primary_key, key)
    except RealmError:
        return False
    return True
