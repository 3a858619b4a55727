"""IdentityMap: the live objects of one class of an open Realm that somebody holds. Compiled, like what uses it.

Objects of the same row are the same Python object as long as somebody holds it, so one row serves all and a write is
seen by every reader at once (spec/sdk.md §6).
"""

from __future__ import annotations

from sys import getrefcount
from types import MemberDescriptorType
from typing import Any, Final
from weakref import ReferenceType, getweakrefcount

from syncline.realm.live_object import NO_KEY, UNREAD, LiveObject
from syncline.storage.row_shape import ValueRow

__all__ = ["IdentityMap"]

#: The map is looked through for objects that are gone when it has so many, and then twice as many as were left.
_SWEEP_AT: Final = 1024

# constants, which compiled code need not look up
_new: Final = LiveObject.__new__
_references: Final = getrefcount
_weak_references: Final = getweakrefcount


class _Loose:
    """The last two objects that a loop was given: not in the map, unless somebody turns out to hold them.

    When the loop asks for a third, it usually holds the second and nobody the first, which then serves again: nothing
    is made, remembered or freed.
    """

    def __init__(self) -> None:
        self.older: Any = None
        self.newer: Any = None
        self.older_key = NO_KEY
        self.newer_key = NO_KEY

    def references(self) -> int:
        """How many references there are to the older object, with those that counting them takes."""
        older = self.older
        return _references(older)


def _unheld() -> int:
    """What :meth:`_Loose.references` says of an object that only who asks has: more where nothing is compiled."""
    loose = _Loose()
    loose.older = object()
    older = loose.older
    count = loose.references()
    return count if loose.older is older else 0


_UNHELD: Final = _unheld()


def _leaves_traces(model: Any) -> bool:
    """Whether objects of the class have slots of their own, or do something when they go."""
    classes = [cls for cls in model.__mro__ if cls is not LiveObject]
    own = [value for cls in classes for value in vars(cls).values()]
    return hasattr(model, "__del__") or any(type(value) is MemberDescriptorType for value in own)


class IdentityMap:
    """The live objects of ``model`` by their rows' keys; ``binding`` is theirs."""

    def __init__(self, binding: Any, model: Any) -> None:
        self._binding = binding
        self._model = model
        self._leaves_traces = _leaves_traces(model)
        #: objects can have attributes that are not of the model
        self._has_dict = bool(model.__dictoffset__)
        #: weak references by key, some of which are dead
        self._references: dict[int, Any] = {}
        self._sweep_at = _SWEEP_AT
        #: weak references to the objects of rows that another object was added over
        self._twins: dict[int, list[Any]] = {}
        self._loose = _Loose()
        #: how many objects were still held when a loop had gone on
        self.held = 0

    def __len__(self) -> int:
        """How many objects there are at most."""
        self.settle()
        return len(self._references)

    def all_keys(self) -> list[int]:
        """The keys of all objects, and some of objects that are gone."""
        self.settle()
        keys = list(self._references)
        return keys + [key for key in self._twins if key not in self._references]

    def find(self, key: int) -> Any:
        """The object of that row if somebody holds it, or None."""
        self.settle()
        reference = self._references.get(key)
        return None if reference is None else reference()

    def all_of(self, key: int) -> list[Any]:
        """All objects of that row: more than one where an object was added over another."""
        objects = [reference() for reference in self._twins.get(key, [])] + [self.find(key)]
        return [obj for obj in objects if obj is not None]

    def pop(self, key: int) -> list[Any]:
        """Like :meth:`all_of`; the map has them no more."""
        objects = self.all_of(key)
        self._references.pop(key, None)
        self._twins.pop(key, None)
        return objects

    def new(self, key: int) -> Any:
        """An object for a row that has none yet."""
        obj: LiveObject = _new(self._model)
        obj._binding = self._binding
        obj._key = key
        obj._epoch = UNREAD
        obj._values = None
        self.add(obj, key)
        return obj

    def add(self, obj: LiveObject, key: int) -> None:
        """Remember an object while somebody holds it."""
        self._references[key] = ReferenceType(obj)
        if len(self._references) > self._sweep_at:
            self._sweep()

    def add_over(self, obj: LiveObject, key: int) -> bool:
        """Remember an object in place of the one that the row has; whether there is another one that somebody holds."""
        older = self.find(key)
        if older is not None and older is not obj:
            twins = [twin for twin in self._twins.get(key, []) if twin() is not None]
            self._twins[key] = [*twins, ReferenceType(older)]
        self.add(obj, key)
        return older is not None and older is not obj

    def settle(self) -> None:
        """Have everything in the map that somebody may hold."""
        while self._loose.newer_key != NO_KEY:
            self._settle()

    def _settle(self) -> None:
        """The same, but what goes now may tell somebody who looks objects up, or goes through them, himself; so may
        what the garbage collector finds meanwhile.
        """
        loose, empty = self._loose, _Loose()
        older, newer = loose.older, loose.newer
        if older is not None:
            self.add(older, loose.older_key)
        if newer is not None:
            self.add(newer, loose.newer_key)
        if self._loose is loose:
            self._loose = empty
        loose.older = loose.newer = None  # last: both are in the map, and nobody finds them here

    def of_row(self, row: ValueRow, epoch: int, columns: Any) -> Any:
        """The object of a row that was just read with these columns, for a loop.

        An object that the loop was given before, and that nobody holds any more, serves again.
        """
        key: int = row[0]
        loose = self._loose
        if key == loose.newer_key or key == loose.older_key:
            self.settle()
            loose = self._loose
        known = self._references
        if known:
            reference = known.get(row[0])
            obj = reference() if reference is not None else None
            if obj is not None:
                held: LiveObject = obj
                if held._epoch != epoch:
                    held._row = row
                    held._columns = columns
                    held._epoch = epoch
                return held
        older = loose.older
        if older is None:
            return self._one_more(row, epoch, columns)
        if loose.references() != _UNHELD:
            self.held += 1
            return self._one_more(row, epoch, columns)
        # making a dictionary can call the garbage collector, and that somebody who looks objects up
        if not self._is_as_new(older) or loose.older is not older:
            return self._one_more(row, epoch, columns)
        live: LiveObject = older
        collections = live._values
        live._binding = self._binding
        live._key = key
        live._values = None
        live._row = row
        live._columns = columns
        live._epoch = epoch
        loose.older = loose.newer
        loose.older_key = loose.newer_key
        loose.newer = live
        loose.newer_key = key
        if collections is not None:
            collections.clear()  # last, like in _settle()
        return live

    def _is_as_new(self, obj: Any) -> bool:
        """Whether nobody who does not hold the object would notice that it becomes another one."""
        return not self._leaves_traces and _weak_references(obj) == 0 and not (self._has_dict and obj.__dict__)

    def _one_more(self, row: ValueRow, epoch: int, columns: Any) -> Any:
        """The same where none can serve again."""
        key: int = row[0]
        made: LiveObject = _new(self._model)
        made._binding = self._binding
        made._key = key
        made._values = None
        made._row = row
        made._columns = columns
        made._epoch = epoch
        loose = self._loose
        if loose.older_key != NO_KEY or loose.newer_key == key:
            self.settle()
            loose = self._loose
        # once more, as somebody may have looked this very object up meanwhile
        reference = self._references.get(row[0])
        obj = reference() if reference is not None else None
        if obj is not None:
            return obj
        loose.older = loose.newer
        loose.older_key = loose.newer_key
        loose.newer = made
        loose.newer_key = key
        return made

    def of_rows(self, rows: list[ValueRow], epoch: int) -> list[Any]:
        """The objects of complete rows that were just read."""
        self.settle()
        binding, model, known = self._binding, self._model, self._references
        found: list[Any] = []
        for row in rows:
            key = row[0]  # as it came: the dictionary wants a Python object
            reference = known.get(key)
            obj = reference() if reference is not None else None
            if obj is None:
                made: LiveObject = _new(model)
                made._binding = binding
                made._key = key
                made._values = None
                made._row = row
                made._columns = None
                made._epoch = epoch
                known[key] = ReferenceType(made)
                found.append(made)
            else:
                held: LiveObject = obj
                if held._epoch != epoch:
                    held._row = row
                    held._columns = None
                    held._epoch = epoch
                found.append(held)
        if len(known) > self._sweep_at:
            self._sweep()
        return found

    def _sweep(self) -> None:
        """Forget the objects that nobody holds any more."""
        known = dict(self._references)  # a copy, as other threads add to those of a frozen Realm
        keys, references = list(known), list(known.values())
        left: dict[int, Any] = {}
        for place in range(len(references)):
            reference = references[place]
            if reference() is not None:
                left[keys[place]] = reference
        self._references = left
        self._sweep_at = max(_SWEEP_AT, 2 * len(left))
