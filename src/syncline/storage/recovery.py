"""Replaying unsynced changes on the server's state (spec/sessions.md §12.10, §12.11).

The changes are carried out, one by one, in a write transaction on a fresh copy of the server's state; what is recorded
there takes the place of the original changesets. Net rules: local creations are kept, a local update of an object that
the server deleted is lost, a local deletion wins, of two values of one property the local one wins. List indexes say
nothing in another list: elements that the recovery has inserted itself are tracked (:mod:`.list_tracker`), a list in
which others were spoken of is replaced by the local one as it finally is (:mod:`.list_copy`). Lists are known by where
they are stored, not by their paths: one that takes the place of another begins anew, as it did locally.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Final, NamedTuple, cast

from syncline.changesets.codec import decode, encode_recorded
from syncline.changesets.describe import describe, place_text
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
from syncline.storage.backlinks import LinkPlace
from syncline.storage.catalogue import ClassInfo, PropertyInfo
from syncline.storage.columns import Value
from syncline.storage.history import LocalChange
from syncline.storage.links import links_to
from syncline.storage.list_copy import ListCopier, ListPath, Missing, resolve
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
    for number, change in enumerate(changes, 1):
        replay.version = change.version
        instructions = decode(change.transformed).instructions if change.transformed else []
        for instruction in instructions:
            replay.run(instruction)
        count += len(instructions)
        replay.copy_marked_lists(is_last=number == len(changes))
        recorder = tx.recorder
        made = encode_recorded(tx.instructions, tx.embedded_classes) if tx.instructions else b""
        changesets[change.version] = made
        recorder.truncate(0)
    return Recovery(changesets, count - replay.dropped, replay.lost)


class _Dropped(Exception):
    """The instruction has no place in the server's state."""


class _Listed(Exception):
    """The list as a whole will be copied, or was."""


class _Tracked:
    """A list of the server's state in which something is replayed.

    ``path``: where the local list is that it may have to be copied from. Inside an element of another list there is no
    such path: it is that list, ``outer``, which is copied then.
    """

    __slots__ = ("outer", "path", "ref", "tracker")

    def __init__(self, ref: CollectionRef, path: ListPath, outer: _Tracked | None) -> None:
        self.ref = ref
        self.path = path
        self.outer = outer
        self.tracker = ListTracker()


class _Copied:
    """A list that was copied in the change ``version`` without links to what was ``missing``.

    ``gone``: what was deleted since, with the links to it; it may be created, and linked to, again.
    """

    __slots__ = ("gone", "missing", "tracked", "version")

    def __init__(self, tracked: _Tracked, version: int, missing: list[Missing]) -> None:
        self.tracked = tracked
        self.version = version
        self.missing = missing
        self.gone: list[Missing] = []


class _Spot(NamedTuple):
    """A place: a property of an object (``ref`` None), or an element (``step``) of a collection.

    Of a list ``step`` is a visible index. ``outer``: the first list on the way there.
    """

    info: ClassInfo
    k: int
    prop: PropertyInfo
    ref: CollectionRef | None = None
    step: int | str = 0
    outer: _Tracked | None = None


class _Replay:
    """The replay of all changes of one recovery."""

    def __init__(self, local: Reader, tx: WriteTransaction) -> None:
        self.version = 0
        self.dropped = 0
        self.lost: list[Lost] = []
        self._local = local
        self._tx = tx
        self._copier = ListCopier(local, tx)
        self._lists: dict[CollectionRef, _Tracked] = {}
        #: lists to be copied at the end of the changeset
        self._marked: list[_Tracked] = []
        self._copied: dict[ListPath, _Copied] = {}

    def run(self, instruction: Instruction) -> None:
        """Carry out one instruction, or note that it is lost. Raises AutomaticResetError."""
        try:
            _RULES[type(instruction)](self, instruction)
        except _Listed:
            pass
        except _Dropped as dropped:
            self.dropped += 1
            self._lose(instruction, str(dropped))
        except RealmError as error:
            raise AutomaticResetError(f"{describe(instruction)} cannot be recovered: {error}") from error

    def _lose(self, instruction: Instruction, reason: str) -> None:
        self.lost.append(Lost(self.version, describe(instruction), reason))

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
        _, is_new = self._tx.create(self._class(one.table), one.key)
        if not is_new:
            self._tx.instructions.append(one)  # it is there only by chance: where it is not, it has to be created

    def erase(self, one: EraseObject) -> None:
        info = self._class(one.table)
        k = self._tx.find(info, one.key)
        if k is not None:
            if self._lists:
                self._note_links_that_go(info, k, one.key)
            self._tx.erase(info, k)

    def _note_links_that_go(self, info: ClassInfo, k: int, key: Key) -> None:
        """An object is about to be deleted, with the links to it: of those the lists must know."""
        before: dict[CollectionRef, int] = {}
        for place in links_to(self._tx.workspace, info, k):
            if place.ref in self._lists:
                number = before.get(place.ref, 0)
                before[place.ref] = number + 1
                self._lists[place.ref].tracker.vanish(cast(int, place.place) - number)
            copied = self._copied.get(self._list_around(place)) if self._copied else None
            if copied is not None:
                copied.gone.append(Missing(info.name, key))

    def _list_around(self, place: LinkPlace) -> ListPath:
        """The path of the outermost list in which a link is, or else of the place."""
        prop, owner, ref, at = place
        if ref is None:
            address = self._tx.recorder.property_address(self._tx.catalogue.by_id[prop.class_id], owner, prop)
        else:
            address = self._tx.recorder.collection_address(ref)
        path = address.path if ref is None or ref.kind == LIST_COLLECTION else (*address.path, cast(str, at))
        steps = list(takewhile(lambda step: isinstance(step, str), path))
        return address.table, address.key, address.field, cast("tuple[str, ...]", tuple(steps))

    def _class(self, name: str) -> ClassInfo:
        info = self._tx.catalogue.find(name)
        if info is None:
            raise AutomaticResetError(f"the server has no class {name!r}")
        return info

    # --- places -------------------------------------------------------------------------------------------------------

    def _find(self, one: PathInstruction, path: Path, enters: bool) -> _Spot:
        """Walk ``path``. ``enters``: what is at the place will be entered, too; otherwise a list index at its end is
        left as it is.
        """
        info = self._class(one.table)
        k = self._tx.find(info, one.key)
        if k is None:
            raise _Dropped("the server has deleted the object")
        spot = _Spot(info, k, self._property(info, one.field))
        for number, step in enumerate(path):
            ref, outer = self._enter(spot), spot.outer
            if isinstance(ref, ObjectRef):
                info = self._tx.catalogue.by_id[ref.class_id]
                spot = _Spot(info, ref.object_key, self._property(info, cast(str, step)), outer=outer)
                continue
            if ref.kind == LIST_COLLECTION:
                if not isinstance(step, int):
                    raise _Dropped("the value is a list now")
                tracked = self._tracked(ref, one, path[:number], outer)
                outer = outer or tracked
                if enters or number + 1 < len(path):
                    step = self._known(tracked, step)
            elif not isinstance(step, str):
                raise _Dropped("the value is a dictionary now")
            spot = spot._replace(ref=ref, step=step, outer=outer)
        return spot

    @staticmethod
    def _property(info: ClassInfo, name: str) -> PropertyInfo:
        prop = info.properties.get(name)
        if prop is None:
            raise AutomaticResetError(f"the server has no property {info.name}.{name}")
        return prop

    def _tracked(self, ref: CollectionRef, one: PathInstruction, path: Path, outer: _Tracked | None) -> _Tracked:
        """What is known of the list ``ref``, which is at ``path``."""
        tracked = self._lists.get(ref)
        if tracked is None:
            steps = () if outer is not None else tuple([cast(str, step) for step in path])
            tracked = self._lists[ref] = _Tracked(ref, (one.table, one.key, one.field, steps), outer)
        return tracked

    def _mark(self, tracked: _Tracked) -> _Listed:
        """An operation spoke of what is not known: the list, or the one around it, has to be copied as a whole."""
        whole = tracked.outer or tracked
        if not whole.tracker.needs_copy:
            whole.tracker.mark_copy()
            self._marked.append(whole)
        return _Listed()

    def _known(self, tracked: _Tracked, local: int) -> int:
        """The visible index of an element."""
        real = tracked.tracker.find(local)
        if real is None:
            raise self._mark(tracked)
        return self._tx.list_visible_index(tracked.ref, real)

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
        spot = self._find(one, one.path, False)
        if spot.ref is None:
            self._put_property(spot, one)
        elif spot.ref.kind == LIST_COLLECTION:
            self._put_element(spot.ref, self._known(self._lists[spot.ref], cast(int, spot.step)), one)
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
            self._tx.dict_erase(ref, key)
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
        except _Dropped as dropped:
            self._lose(one, f"{dropped}; null was written instead")
            return None

    def add_integer(self, one: AddInteger) -> None:
        spot = self._find(one, one.path, False)
        if spot.ref is not None:
            raise AutomaticResetError(f"{describe(one)}: adding to an element of a collection cannot be recovered")
        value = self._value_at(spot)
        if not isinstance(value, int) or isinstance(value, bool):
            raise _Dropped("there is no integer any more to add to")
        self._tx.add_integer(spot.info, spot.k, spot.prop, one.value)

    # --- collections --------------------------------------------------------------------------------------------------

    def _list(self, one: PathInstruction) -> _Tracked:
        """The list that an instruction changes."""
        path = one.path[:-1]
        spot = self._find(one, path, True)
        ref = self._enter(spot)
        if not isinstance(ref, CollectionRef) or ref.kind != LIST_COLLECTION:
            raise _Dropped("there is no list any more")
        tracked = self._tracked(ref, one, path, spot.outer)
        if tracked.tracker.needs_copy:
            raise _Listed
        return tracked

    def insert(self, one: ArrayInsert) -> None:
        tracked = self._list(one)
        ref, tracker, local = tracked.ref, tracked.tracker, cast(int, one.path[-1])
        try:
            value = None if one.kind == OBJECT or one.kind in _COLLECTIONS else self._value(one.kind, one.value)
        except _Dropped:
            tracker.drop(local)
            raise
        index = self._tx.list_visible_index(ref, tracker.place(local, self._tx.list_real_size(ref)))
        tracker.insert(local, self._tx.list_real_index(ref, index))
        if one.kind == OBJECT:
            self._tx.list_insert_embedded(ref, index)
        elif one.kind in _COLLECTIONS:
            self._tx.list_insert_collection(ref, index, _COLLECTIONS[one.kind])
        else:
            self._tx.list_insert(ref, index, value)

    def move(self, one: ArrayMove) -> None:
        tracked = self._list(one)
        ref = tracked.ref
        ends = tracked.tracker.move(cast(int, one.path[-1]), one.ndx_2)
        if ends is None:
            raise self._mark(tracked)
        self._tx.list_move(ref, self._tx.list_visible_index(ref, ends[0]), self._tx.list_visible_index(ref, ends[1]))

    def remove(self, one: ArrayErase) -> None:
        tracked = self._list(one)
        local = cast(int, one.path[-1])
        index = self._known(tracked, local)
        tracked.tracker.remove(local)
        self._tx.list_erase(tracked.ref, index)

    def clear(self, one: Clear) -> None:
        spot = self._find(one, one.path, True)
        ref = self._collection(spot, one.collection)
        if ref.kind == LIST_COLLECTION:
            self._tracked(ref, one, one.path, spot.outer).tracker.clear()
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
        ref = self._set(one)
        try:
            self._tx.set_erase(ref, self._value(one.kind, one.value))
        except _Dropped:
            return  # a link to what is not there: nobody sees it

    def _set(self, one: PathInstruction) -> CollectionRef:
        ref = self._enter(self._find(one, one.path, True))
        if not isinstance(ref, CollectionRef) or ref.kind != SET_COLLECTION:
            raise _Dropped("there is no set any more")
        return ref

    # --- lists as a whole ---------------------------------------------------------------------------------------------

    def copy_marked_lists(self, is_last: bool) -> None:
        """At the end of each changeset: the local lists, as they finally are, in place of those that need it.

        At the end of the last one again where something was missing then and has come since.
        """
        for tracked in self._marked:
            self._copy(tracked, self.version)
        self._marked = []
        if is_last:
            for one in list(self._copied.values()):
                if any(missing.is_there(self._tx) for missing in (*one.missing, *one.gone)):
                    self._copy(one.tracked, one.version)
            for one in self._copied.values():
                if one.missing and self._is_marked(one.tracked):
                    what = f"copy of {place_text(*one.tracked.path)}"
                    self.lost.append(Lost(one.version, what, "the server has deleted objects that are linked to"))

    def _is_marked(self, tracked: _Tracked) -> bool:
        """False where the list was cleared or replaced since."""
        return tracked.tracker.needs_copy and resolve(self._tx, tracked.path) == tracked.ref

    def _copy(self, tracked: _Tracked, version: int) -> None:
        source = resolve(self._local, tracked.path)
        if source is not None and self._is_marked(tracked):  # else there is finally another list, or none
            self._copied[tracked.path] = _Copied(tracked, version, self._copier.copy(tracked.ref, source))


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
