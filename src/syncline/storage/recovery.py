"""Replaying unsynced changes on the server's state (spec/sessions.md §12.10, §12.11).

The changes are carried out, one by one, in a write transaction on a fresh copy of the server's state; what is recorded
there takes the place of the original changesets. Net rules: local creations are kept, a local update of an object that
the server deleted is lost, a local deletion wins, of two values of one property the local one wins. List indexes say
nothing in another list: elements that the recovery has inserted itself are tracked (:mod:`.list_tracker`), a list in
which others were spoken of is replaced by the local one as it finally is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, cast

from syncline.changesets.codec import decode, encode_recorded
from syncline.changesets.describe import describe
from syncline.changesets.instructions import (
    AddColumn,
    AddInteger,
    AddTable,
    ArrayErase,
    ArrayInsert,
    ArrayMove,
    Clear,
    CreateObject,
    EraseColumn,
    EraseObject,
    EraseTable,
    Instruction,
    Path,
    PathInstruction,
    SetErase,
    SetInsert,
    Update,
)
from syncline.errors import AutomaticResetError, RealmError
from syncline.storage.catalogue import ClassInfo, PropertyInfo
from syncline.storage.columns import Value
from syncline.storage.history import LocalChange
from syncline.storage.list_tracker import ListTracker
from syncline.storage.reader import Reader
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.storage.transaction import WriteTransaction
from syncline.values import Float32, Key, Link
from syncline.values.kinds import (
    DICTIONARY,
    DICTIONARY_COLLECTION,
    ERASED,
    FLOAT,
    GLOBAL_KEY,
    LINK,
    LIST,
    LIST_COLLECTION,
    MIXED,
    NULL,
    OBJECT,
    SET_COLLECTION,
    SINGLE_COLLECTION,
)

__all__ = ["Lost", "Recovery", "recover"]

_COLLECTIONS: Final = {LIST: LIST_COLLECTION, DICTIONARY: DICTIONARY_COLLECTION}


class Lost(NamedTuple):
    """Something that could not be recovered: the change's version, what it was, without values, and why."""

    version: int
    what: str
    reason: str


class Recovery(NamedTuple):
    """The changesets to upload, by version (perhaps empty), how many instructions were replayed, and what was lost."""

    changesets: dict[int, bytes]
    replayed: int
    lost: list[Lost]


def recover(changes: Sequence[LocalChange], local: Reader, tx: WriteTransaction) -> Recovery:
    """Replay ``changes``, in order, on the server's state in ``tx``, which records. ``local`` is the state they led to.

    Raises AutomaticResetError where a change cannot be replayed at all: classes or properties were removed, or
    contradict those of the server.
    """
    replay = _Replay(local, tx)
    changesets: dict[int, bytes] = {}
    count = 0
    for change in changes:
        replay.version = change.version
        instructions = decode(change.transformed).instructions if change.transformed else []
        for instruction in instructions:
            replay.run(instruction)
        count += len(instructions)
        replay.copy_marked_lists()
        recorder = tx.recorder
        made = encode_recorded(tx.instructions, tx.embedded_classes) if tx.instructions else b""
        changesets[change.version] = made
        recorder.truncate(0)
    return Recovery(changesets, count - len(replay.lost), replay.lost)


class _Dropped(Exception):
    """The instruction has no place in the server's state."""


#: Where a list is: class, key, property and the keys on the way, without indexes.
_ListPath = tuple[str, Key, str, tuple[str, ...]]


class _Spot(NamedTuple):
    """A place: a property of an object (``ref`` None), or an element (``step``) of a collection."""

    info: ClassInfo
    k: int
    prop: PropertyInfo
    ref: CollectionRef | None = None
    step: int | str = 0


class _Replay:
    """The replay of all changes of one recovery."""

    def __init__(self, local: Reader, tx: WriteTransaction) -> None:
        self.version = 0
        self.lost: list[Lost] = []
        self._local = local
        self._tx = tx
        self._trackers: dict[_ListPath, ListTracker] = {}

    def run(self, instruction: Instruction) -> None:
        """Carry out one instruction, or note that it is lost. Raises AutomaticResetError."""
        try:
            _RULES[type(instruction)](self, instruction)
        except _Listed:
            pass
        except _Dropped as dropped:
            self.lost.append(Lost(self.version, describe(instruction), str(dropped)))
        except (RealmError, IndexError, KeyError) as error:
            raise AutomaticResetError(f"{describe(instruction)} cannot be recovered: {error}") from error

    # --- schema and objects -------------------------------------------------------------------------------------------

    def add_table(self, one: AddTable) -> None:
        before = len(self._tx.instructions)
        key = None if one.pk_type == GLOBAL_KEY or not one.pk_field else one.pk_field
        self._tx.add_class(
            one.table, kind=one.table_type, primary_key=key, key_type=one.pk_type, key_nullable=one.pk_nullable
        )
        if len(self._tx.instructions) == before:
            self._tx.instructions.append(one)  # the server may know the class from another file only

    def add_column(self, one: AddColumn) -> None:
        before = len(self._tx.instructions)
        self._tx.add_property(
            self._class(one.table),
            one.field,
            one.value_type,
            nullable=one.nullable,
            collection=one.collection,
            target=one.link_target or None,
        )
        if len(self._tx.instructions) == before:
            self._tx.instructions.append(one)

    def refuse(self, one: Instruction) -> None:
        raise AutomaticResetError(f"{describe(one)}: destructive schema changes cannot be recovered")

    def create(self, one: CreateObject) -> None:
        self._tx.create(self._class(one.table), one.key)

    def erase(self, one: EraseObject) -> None:
        info = self._class(one.table)
        k = self._tx.find(info, one.key)
        if k is None:
            raise _Dropped("the server has deleted the object too")
        self._tx.erase(info, k)

    def _class(self, name: str) -> ClassInfo:
        info = self._tx.catalogue.find(name)
        if info is None:
            raise AutomaticResetError(f"the server has no class {name!r}")
        return info

    # --- places -------------------------------------------------------------------------------------------------------

    def _find(self, one: PathInstruction, path: Path, enters: bool) -> tuple[_Spot, bool]:
        """Walk ``path``; the place, and whether an index of a known element was passed on the way.

        ``enters``: what is at the place will be entered, too, so that an index at the end is one of the way.
        """
        info = self._class(one.table)
        k = self._tx.find(info, one.key)
        if k is None:
            raise _Dropped("the server has deleted the object")
        spot = _Spot(info, k, self._property(info, one.field))
        passed = False
        for number, step in enumerate(path):
            ref = self._enter(spot)
            if isinstance(ref, ObjectRef):
                info = self._tx.catalogue.by_id[ref.class_id]
                spot = _Spot(info, ref.object_key, self._property(info, cast(str, step)))
                continue
            if ref.kind == LIST_COLLECTION:
                if not isinstance(step, int):
                    raise _Dropped("the value is a list now")
                if (enters or number + 1 < len(path)) and not passed:
                    step = self._known(self._tracker(one, path[:number]).update(step))
                    passed = True
            elif not isinstance(step, str):
                raise _Dropped("the value is a dictionary now")
            spot = spot._replace(ref=ref, step=step)
        return spot, passed

    @staticmethod
    def _property(info: ClassInfo, name: str) -> PropertyInfo:
        prop = info.properties.get(name)
        if prop is None:
            raise AutomaticResetError(f"the server has no property {info.name}.{name}")
        return prop

    @staticmethod
    def _known(index: int | None) -> int:
        if index is None:
            raise _Listed
        return index

    def _enter(self, spot: _Spot) -> ObjectRef | CollectionRef:
        """What is inside the value at a place."""
        value = self._value_at(spot)
        if isinstance(value, CollectionRef):
            return value
        if isinstance(value, ObjectRef) and self._tx.catalogue.by_id[value.class_id].embedded:
            return value
        raise _Dropped("there is no embedded object or collection any more")

    def _value_at(self, spot: _Spot) -> Value:
        if spot.ref is None:
            return self._tx.get(spot.info, spot.k, spot.prop)
        if spot.ref.kind == LIST_COLLECTION:
            return self._tx.list_get(spot.ref, cast(int, spot.step))
        if not self._tx.dict_contains(spot.ref, cast(str, spot.step)):
            raise _Dropped("the server has removed the dictionary's entry")
        return self._tx.dict_get(spot.ref, cast(str, spot.step))

    def _tracker(self, one: PathInstruction, path: Path) -> ListTracker:
        keys = tuple(cast(str, step) for step in path)
        return self._trackers.setdefault((one.table, one.key, one.field, keys), ListTracker())

    # --- values -------------------------------------------------------------------------------------------------------

    def _value(self, kind: int, payload: object) -> Value:
        """Raises _Dropped for a link to an object that is not there."""
        if kind == LINK:
            link = cast(Link, payload)
            info = self._class(link.table)
            k = self._tx.find(info, link.key)
            if k is None:
                raise _Dropped("the server has deleted the object that is linked to")
            return ObjectRef(info.id, k)
        return Float32(cast(float, payload)) if kind == FLOAT else cast(Value, payload)

    # --- values: changing ---------------------------------------------------------------------------------------------

    def update(self, one: Update) -> None:
        spot, passed = self._find(one, one.path, False)
        if spot.ref is None:
            self._put_property(spot, one)
        elif spot.ref.kind == LIST_COLLECTION:
            index = cast(int, spot.step)
            if not passed:
                index = self._known(self._tracker(one, one.path[:-1]).update(index))
            self._put_element(spot.ref, index, one)
        else:
            self._put_entry(spot.ref, cast(str, spot.step), one)

    def _put_property(self, spot: _Spot, one: Update) -> None:
        info, k, prop = spot.info, spot.k, spot.prop
        if one.kind == OBJECT:
            self._tx.set_embedded(info, k, prop, one.is_default)
        elif one.kind in _COLLECTIONS:
            self._tx.set_collection(info, k, prop, _COLLECTIONS[one.kind], one.is_default)
        else:
            self._tx.set(info, k, prop, self._value_or_null(one), one.is_default)

    def _put_element(self, ref: CollectionRef, index: int, one: Update) -> None:
        if one.kind == OBJECT:
            self._tx.list_set_embedded(ref, index)
        elif one.kind in _COLLECTIONS:
            self._tx.list_set_collection(ref, index, _COLLECTIONS[one.kind])
        else:
            self._tx.list_set(ref, index, self._value(one.kind, one.value))

    def _put_entry(self, ref: CollectionRef, key: str, one: Update) -> None:
        if one.kind == ERASED:
            if not self._tx.dict_erase(ref, key):
                raise _Dropped("the server has removed the dictionary's entry too")
        elif one.kind == OBJECT:
            self._tx.dict_set_embedded(ref, key)
        elif one.kind in _COLLECTIONS:
            self._tx.dict_set_collection(ref, key, _COLLECTIONS[one.kind])
        else:
            self._tx.dict_set(ref, key, self._value_or_null(one))

    def _value_or_null(self, one: Update) -> Value:
        """Where null is allowed, as it is wherever there is a link, it stands for a link to nothing."""
        try:
            return None if one.kind == NULL else self._value(one.kind, one.value)
        except _Dropped:
            return None

    def add_integer(self, one: AddInteger) -> None:
        spot, _ = self._find(one, one.path, False)
        if spot.ref is not None:
            raise AutomaticResetError(f"{describe(one)}: adding to an element of a collection cannot be recovered")
        value = self._value_at(spot)
        if not isinstance(value, int) or isinstance(value, bool):
            raise _Dropped("there is no integer any more to add to")
        self._tx.add_integer(spot.info, spot.k, spot.prop, one.value)

    # --- collections --------------------------------------------------------------------------------------------------

    def _list(self, one: PathInstruction) -> tuple[CollectionRef, ListTracker | None]:
        """The list that an instruction changes, and its tracker: None inside an element that the recovery made."""
        spot, passed = self._find(one, one.path[:-1], True)
        ref = self._enter(spot)
        if not isinstance(ref, CollectionRef) or ref.kind != LIST_COLLECTION:
            raise _Dropped("there is no list any more")
        return ref, None if passed else self._tracker(one, one.path[:-1])

    def insert(self, one: ArrayInsert) -> None:
        ref, tracker = self._list(one)
        value = None if one.kind == OBJECT or one.kind in _COLLECTIONS else self._value(one.kind, one.value)
        size, index = self._tx.size(ref), cast(int, one.path[-1])
        index = min(index, size) if tracker is None else self._known(tracker.insert(index, size))
        if one.kind == OBJECT:
            self._tx.list_insert_embedded(ref, index)
        elif one.kind in _COLLECTIONS:
            self._tx.list_insert_collection(ref, index, _COLLECTIONS[one.kind])
        else:
            self._tx.list_insert(ref, index, value)

    def move(self, one: ArrayMove) -> None:
        ref, tracker = self._list(one)
        ends: tuple[int, int] | None = cast(int, one.path[-1]), one.ndx_2
        if tracker is not None:
            ends = tracker.move(cast(int, one.path[-1]), one.ndx_2)
        if ends is None:
            raise _Listed
        self._tx.list_move(ref, *ends)

    def remove(self, one: ArrayErase) -> None:
        ref, tracker = self._list(one)
        index = cast(int, one.path[-1])
        self._tx.list_erase(ref, index if tracker is None else self._known(tracker.remove(index)))

    def clear(self, one: Clear) -> None:
        spot, passed = self._find(one, one.path, True)
        ref = self._collection(spot, one.collection)
        if ref.kind == LIST_COLLECTION:
            if not passed:
                self._tracker(one, one.path).clear()
            self._tx.list_clear(ref)
        elif ref.kind == SET_COLLECTION:
            self._tx.set_clear(ref)
        else:
            self._tx.dict_clear(ref)

    def _collection(self, spot: _Spot, kind: int) -> CollectionRef:
        """The collection at a place; a Mixed that holds something else, or nothing, becomes one."""
        if spot.ref is None and spot.prop.collection != SINGLE_COLLECTION:
            return CollectionRef(spot.prop.collection, spot.prop.id, spot.k)
        if spot.prop.type != MIXED:
            raise _Dropped("there is no collection any more")
        if spot.ref is None:
            return self._tx.set_collection(spot.info, spot.k, spot.prop, kind)
        if spot.ref.kind == LIST_COLLECTION:
            return self._tx.list_set_collection(spot.ref, cast(int, spot.step), kind)
        return self._tx.dict_set_collection(spot.ref, cast(str, spot.step), kind)

    def set_insert(self, one: SetInsert) -> None:
        self._tx.set_insert(self._set(one), self._value(one.kind, one.value))

    def set_erase(self, one: SetErase) -> None:
        self._tx.set_erase(self._set(one), self._value(one.kind, one.value))

    def _set(self, one: PathInstruction) -> CollectionRef:
        ref = self._enter(self._find(one, one.path, True)[0])
        if not isinstance(ref, CollectionRef) or ref.kind != SET_COLLECTION:
            raise _Dropped("there is no set any more")
        return ref

    # --- lists as a whole ---------------------------------------------------------------------------------------------

    def copy_marked_lists(self) -> None:
        """At the end of each changeset: the local lists, as they finally are, in place of those that need it."""
        for path, tracker in self._trackers.items():
            if tracker.needs_copy and not tracker.copied:
                own, source = _resolve(self._tx, path), _resolve(self._local, path)
                if own is not None and source is not None:
                    self._tx.list_clear(own)
                    self._fill_list(own, source)
                    tracker.copied = True

    def _fill_list(self, own: CollectionRef, source: CollectionRef) -> None:
        for value in self._local.list_slice(source):
            size = self._tx.size(own)
            if isinstance(value, CollectionRef):
                self._fill(self._tx.list_insert_collection(own, size, value.kind), value)
            elif self._is_embedded(value):
                self._fill_object(self._tx.list_insert_embedded(own, size), cast(ObjectRef, value))
            elif (there := self._there(value)) is not None or value is None:
                self._tx.list_insert(own, size, there)

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
            prop = self._property(info, source_prop.name)
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
        own = self._class(info.name)
        k = self._tx.find(own, self._local.key_of(info, value.object_key))
        return None if k is None else ObjectRef(own.id, k)


class _Listed(Exception):
    """The list as a whole will be copied, or was."""


def _resolve(reader: Reader, path: _ListPath) -> CollectionRef | None:
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
        elif (
            isinstance(value, CollectionRef)
            and value.kind == DICTIONARY_COLLECTION
            and reader.dict_contains(value, step)
        ):
            value = reader.dict_get(value, step)
        else:
            return None
    return value if isinstance(value, CollectionRef) and value.kind == LIST_COLLECTION else None


def _is_dictionary(value: Value) -> bool:
    return isinstance(value, CollectionRef) and value.kind == DICTIONARY_COLLECTION


_RULES: Final[dict[type[Instruction], Callable[..., None]]] = {
    AddTable: _Replay.add_table,
    AddColumn: _Replay.add_column,
    EraseTable: _Replay.refuse,
    EraseColumn: _Replay.refuse,
    CreateObject: _Replay.create,
    EraseObject: _Replay.erase,
    Update: _Replay.update,
    AddInteger: _Replay.add_integer,
    ArrayInsert: _Replay.insert,
    ArrayMove: _Replay.move,
    ArrayErase: _Replay.remove,
    Clear: _Replay.clear,
    SetInsert: _Replay.set_insert,
    SetErase: _Replay.set_erase,
}
