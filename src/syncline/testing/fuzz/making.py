"""Instructions for a Realm of a known schema: most of them fit, so that what follows them is reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

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
    SetErase,
    SetInsert,
    Update,
)
from syncline.changesets.json_form import key_from_json, payload_from_json
from syncline.testing.choices import Choices
from syncline.testing.domains import KEYS, VALUES
from syncline.testing.model.schema import ANYTHING, TYPE_NAMES, ClassDef, PropertyDef
from syncline.values import GlobalKey, Key, Link, kinds

__all__ = ["NUMBERS", "InstructionMaker"]

Payload: TypeAlias = "tuple[int, object]"
Steps: TypeAlias = "list[int | str]"
#: Class, key and property: where a path starts.
_Start: TypeAlias = "tuple[str, Key, str]"

#: Sizes and indices at which something may go wrong.
NUMBERS: Final = (0, 1, 2, 3, 4, 63, 64, 127, 128, 255, 256, 1000, 1 << 31, (1 << 32) - 1)
_ENTRIES: Final = ("a", "b", "", "é", "$c", "d.e", "\udcff")
_NEW_NAMES: Final = ("More", "x", "", "x" * 57, "x" * 58, "x" * 64, "\udcff", "Person", "_id")
_NO_DATA: Final = (kinds.NULL, kinds.OBJECT, kinds.DICTIONARY, kinds.ERASED, kinds.LIST, kinds.SET)
_SCALARS: Final[dict[int, list[Payload]]] = {
    kind: [payload_from_json(form) for form in VALUES[name]] for kind, name in TYPE_NAMES.items() if name in VALUES
}
_MAX_DEPTH: Final = 6


class InstructionMaker:
    """Makes instructions of one source of choices.

    Parameters:
        choices: where the decisions come from.
        classes: the schema.
        keys: keys of objects by class; some more are made up.
    """

    def __init__(self, choices: Choices, classes: Mapping[str, ClassDef], keys: Mapping[str, Sequence[Key]]) -> None:
        self._choices = choices
        self._classes = classes
        self._keys = keys
        self._tops = [name for name, info in classes.items() if not info.embedded]

    def instruction(self) -> Instruction:
        """Any instruction."""
        kind = self._choices.integer(0, 99)
        if kind < 8:
            return self._schema()
        table = self._choices.pick(self._tops)
        key = self.key(table)
        if kind < 20:
            return CreateObject(table, key)
        if kind < 25:
            return EraseObject(table, key)
        return self._change(table, key)

    def key(self, table: str) -> Key:
        """The key of an object of the class, or of one that is not there, or (rarely) of another class."""
        choices = self._choices
        if choices.chance(3):
            table = choices.pick(self._tops)
        known = self._keys.get(table, ())
        if known and choices.chance(75):
            return choices.pick(known)
        info = self._classes.get(table)
        if info is None or info.primary_key is None:
            return GlobalKey(choices.pick((7, 8, 0, 0x3FFF_FFFF, 1 << 30)), choices.pick(NUMBERS))
        if info.primary_key.nullable and choices.chance(10):
            return None
        return key_from_json(choices.pick(KEYS[TYPE_NAMES[info.primary_key.type]]))

    def payload(self, rules: PropertyDef) -> Payload:
        """A value for a place with these rules; rarely one that does not fit."""
        choices = self._choices
        if choices.chance(4):
            rules = ANYTHING
        if choices.chance(2):
            return choices.pick(_NO_DATA), None
        if rules.type == kinds.LINK and rules.target is not None:
            if self._classes[rules.target].embedded:
                return (kinds.NULL if choices.chance(15) else kinds.OBJECT), None
            return (kinds.NULL, None) if choices.chance(15) else self._link(rules.target)
        if rules.type == kinds.MIXED:
            return self._anything()
        return (kinds.NULL, None) if rules.nullable and choices.chance(20) else choices.pick(_SCALARS[rules.type])

    def _anything(self) -> Payload:
        kind = self._choices.integer(0, 9)
        if kind < 4:
            return self._choices.pick((kinds.LIST, kinds.DICTIONARY)), None
        if kind < 6:
            return self._link(self._choices.pick(self._tops))
        return self._choices.pick(_SCALARS[self._choices.pick(list(_SCALARS))])

    def _link(self, table: str) -> Payload:
        return kinds.LINK, Link(table, self.key(table))

    # --- inside objects -----------------------------------------------------------------------------------------------

    def _change(self, table: str, key: Key) -> Instruction:
        """A change of a property, or of something inside it."""
        choices = self._choices
        info = self._classes[table]
        if not info.properties:
            return CreateObject(table, key)
        rules = choices.pick(list(info.properties.values()))
        start: _Start = (table, key, rules.name)
        path: Steps = []
        for _ in range(_MAX_DEPTH):
            if rules.collection != kinds.SINGLE_COLLECTION:
                if rules.collection == kinds.SET_COLLECTION or choices.chance(10):
                    return self._whole(start, path, rules)
                collection = rules.collection
            elif rules.type == kinds.MIXED and choices.chance(50):
                collection = choices.pick((kinds.LIST_COLLECTION, kinds.DICTIONARY_COLLECTION))
                if choices.chance(10):
                    return Clear(*start, tuple(path), collection)
            elif rules.target is not None and self._classes[rules.target].embedded and choices.chance(60):
                rules = choices.pick(list(self._classes[rules.target].properties.values()))
                path.append(rules.name)
                continue
            else:
                break
            step: int | str = self._index() if collection == kinds.LIST_COLLECTION else choices.pick(_ENTRIES)
            path.append(step)
            rules = rules._replace(collection=kinds.SINGLE_COLLECTION)
            if isinstance(step, int) and choices.chance(70):
                return self._list_change(start, path, rules)
            if choices.chance(40):
                break
        return self._update(start, path, rules)

    def _index(self) -> int:
        return self._choices.integer(0, 3) if self._choices.chance(95) else self._choices.pick(NUMBERS)

    def _whole(self, start: _Start, path: Steps, rules: PropertyDef) -> Instruction:
        """A change of a set, or of a whole collection."""
        collection = rules.collection if self._choices.chance(90) else self._choices.integer(0, 3)
        if rules.collection != kinds.SET_COLLECTION or self._choices.chance(10):
            return Clear(*start, tuple(path), collection)
        kind, value = self.payload(rules._replace(collection=kinds.SINGLE_COLLECTION))
        if self._choices.chance(60):
            return SetInsert(*start, tuple(path), kind, value)
        return SetErase(*start, tuple(path), kind, value)

    def _list_change(self, start: _Start, path: Steps, rules: PropertyDef) -> Instruction:
        what = self._choices.integer(0, 9)
        size = self._index()
        if what < 6:
            kind, value = self.payload(rules)
            return ArrayInsert(*start, tuple(path), kind, value, size)
        if what < 8:
            return ArrayErase(*start, tuple(path), size)
        return ArrayMove(*start, tuple(path), self._index(), size)

    def _update(self, start: _Start, path: Steps, rules: PropertyDef) -> Instruction:
        if rules.type in (kinds.INT, kinds.MIXED) and self._choices.chance(15):
            return AddInteger(*start, tuple(path), self._choices.pick((1, -1, 1 << 62, -(1 << 63))))
        kind, value = self.payload(rules)
        if path and isinstance(path[-1], int):
            return Update(*start, tuple(path), kind, value, False, self._index())
        if path and self._choices.chance(15):
            kind, value = kinds.ERASED, None
        return Update(*start, tuple(path), kind, value, self._choices.chance(10))

    # --- the schema ---------------------------------------------------------------------------------------------------

    def _schema(self) -> Instruction:
        choices = self._choices
        table = choices.pick(list(self._classes)) if choices.chance(70) else choices.pick(_NEW_NAMES)
        what = choices.integer(0, 9)
        if what < 2:
            key_type = choices.pick(kinds.KEY_KINDS)
            kind = choices.integer(kinds.TOP_LEVEL, kinds.ASYMMETRIC)
            return AddTable(table, kind, choices.pick(_NEW_NAMES), key_type, choices.chance(30))
        if what < 7:
            value_type = choices.integer(kinds.MIXED, kinds.UUID)
            target = choices.pick(list(self._classes)) if value_type == kinds.LINK else ""
            field = choices.pick(_NEW_NAMES)
            nullable, collection = choices.chance(30), choices.integer(0, 3)
            return AddColumn(table, field, value_type, nullable, collection, target, kinds.STRING)
        if what < 9:
            info = self._classes.get(table)
            names = [*info.properties] if info is not None else []
            return EraseColumn(table, choices.pick(names or _NEW_NAMES))
        return EraseTable(table)
