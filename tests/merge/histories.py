"""Random local transactions on a state of the model: what a recorder would write, for property tests."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.merge.model import EMBEDDED_FIELDS, Embedded, State, Value

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import (
    AddInteger,
    ArrayErase,
    ArrayInsert,
    ArrayMove,
    Clear,
    CreateObject,
    EraseObject,
    Instruction,
    Path,
    SetErase,
    SetInsert,
    Update,
)
from syncline.values import Link, kinds

TABLE = "T"
_KEYS = (1, 2)
_NAMES = ("a", "b")
_FIELDS = ("i", "i", "m", "m", "m", "k", "l", "l", "lm", "lm", "d", "d", "s", "e", "ee", "ee")
_LIST_OPERATIONS = ("insert", "insert", "insert", "erase", "move", "update", "inside", "inside", "clear")


def random_base(random: Random) -> State:
    """A state to start from."""
    state = State()
    state.create(1)
    writer = Writer(random, state)
    for _ in range(random.randrange(25)):
        writer.write()
    return state


def random_side(random: Random, base: State, ident: int, size: int) -> tuple[list[Changeset], State]:
    """One to three transactions of a peer, and the state after them."""
    state = base.copy()
    changesets = []
    timestamp = 0
    for version in range(1, random.choice((2, 3, 4))):
        timestamp += random.randrange(5)
        transaction = random_transaction(random, state, random.randrange(1, size + 1))
        changesets.append(
            Changeset(transaction, [], version=version, origin_timestamp=timestamp, origin_file_ident=ident)
        )
    return changesets, state


def random_transaction(random: Random, state: State, size: int) -> list[Instruction]:
    """Instructions of ``size`` operations, applied to ``state``."""
    writer = Writer(random, state)
    for _ in range(size):
        writer.write()
    return writer.instructions


class Writer:
    """Makes random operations on a state and records their instructions."""

    def __init__(self, random: Random, state: State) -> None:
        self.random = random
        self.state = state
        self.instructions: list[Instruction] = []

    def record(self, *instructions: Instruction) -> None:
        for instruction in instructions:
            self.state.execute(instruction)
            self.instructions.append(instruction)

    def write(self) -> None:
        """One operation."""
        chance = self.random.random()
        key = self.random.choice(_KEYS)
        if key not in self.state.objects or chance < 0.03:
            self.record(CreateObject(TABLE, key))
        elif chance < 0.05:
            self.record(EraseObject(TABLE, key))
        else:
            field = self.random.choice(
                ("i", "i", "m", "m", "m", "k", "l", "l", "lm", "lm", "d", "d", "s", "e", "ee", "ee")
            )
            self.change(key, field, (), field, self.state.objects[key][field])

    def change(self, key: int, field: str, path: Path, kind: str, value: Value) -> None:
        """Change what is at a place; ``kind`` is the name of a field of that type, or "mixed element"."""
        if kind in ("i", "v", "w"):
            self.change_int(key, field, path, value)
        elif kind == "k":
            self.record(Update(TABLE, key, field, path, *self.random.choice(((0, None), (kinds.LINK, Link(TABLE, 1))))))
        elif kind in ("m", "em"):
            self.change_mixed(key, field, path, value)
        elif kind in ("l", "el", "lm", "ee"):
            self.change_list(key, field, path, kind, value)
        elif kind == "d":
            self.change_dictionary(key, field, path, value)
        elif kind == "s":
            self.change_set(key, field, path)
        else:
            self.change_embedded(key, field, path, value)

    def number(self) -> int:
        return self.random.randrange(100)

    def change_int(self, key: int, field: str, path: Path, value: Value) -> None:
        if value is not None and self.random.random() < 0.5:
            self.record(AddInteger(TABLE, key, field, path, self.number()))
        else:
            payload = (kinds.INT, self.number()) if self.random.random() < 0.8 else (kinds.NULL, None)
            self.record(Update(TABLE, key, field, path, *payload, self.random.random() < 0.2))

    def mixed(self, path: Path) -> tuple[int, Any]:
        chance = self.random.random()
        if chance < 0.25 and len(path) < 3:
            return kinds.LIST, None
        if chance < 0.45 and len(path) < 3:
            return kinds.DICTIONARY, None
        return self.random.choice(((kinds.NULL, None), (kinds.INT, self.number()), (kinds.STRING, "x")))

    def change_mixed(self, key: int, field: str, path: Path, value: Value) -> None:
        if isinstance(value, list) and self.random.random() < 0.7:
            self.change_list(key, field, path, "lm", value)
        elif isinstance(value, dict) and self.random.random() < 0.7:
            self.change_dictionary(key, field, path, value)
        elif isinstance(value, int) and not path and self.random.random() < 0.3:
            self.record(AddInteger(TABLE, key, field, path, self.number()))
        else:
            kind, payload = self.mixed(path)
            self.record(Update(TABLE, key, field, path, kind, payload))
            self.clear_new_collection(key, field, path, kind)

    def clear_new_collection(self, key: int, field: str, path: Path, kind: int) -> None:
        """What the SDKs record after making a Mixed a collection: its content is replaced, not kept."""
        if kind in (kinds.LIST, kinds.DICTIONARY):
            self.clear(key, field, path, kind == kinds.LIST)

    def clear(self, key: int, field: str, path: Path, is_list: bool) -> None:
        kind = kinds.LIST_COLLECTION if is_list else kinds.DICTIONARY_COLLECTION
        self.record(Clear(TABLE, key, field, path, kind))

    def change_list(self, key: int, field: str, path: Path, kind: str, value: list[Value]) -> None:
        size = len(value)
        operation = self.random.choice(
            ("insert", "insert", "insert", "erase", "move", "update", "inside", "inside", "clear")
        )
        index = self.random.randrange(size) if size else 0
        place = (*path, index)
        if operation == "clear" and self.random.random() < 0.3:
            self.clear(key, field, path, True)
        elif operation == "erase" and size:
            self.record(ArrayErase(TABLE, key, field, place, size))
        elif operation == "move" and size > 1:
            target = self.random.choice([i for i in range(size) if i != index])
            self.record(ArrayMove(TABLE, key, field, place, target, size))
        elif operation == "update" and size and kind != "ee":
            payload = (kinds.INT, self.number()) if kind != "lm" else self.mixed(place)
            self.record(Update(TABLE, key, field, place, *payload, False, size))
            self.clear_new_collection(key, field, place, payload[0])
        elif operation == "inside" and size and kind != "l":
            if kind == "ee":
                self.change_inside(key, field, place, value[index])
            elif isinstance(value[index], list):
                self.change_list(key, field, place, "lm", value[index])
            elif isinstance(value[index], dict):
                self.change_dictionary(key, field, place, value[index])
        else:
            payload = {"ee": (kinds.OBJECT, None), "lm": self.mixed(place)}.get(kind, (kinds.INT, self.number()))
            index = self.random.randrange(size + 1)
            self.record(ArrayInsert(TABLE, key, field, (*path, index), *payload, size))

    def change_dictionary(self, key: int, field: str, path: Path, value: dict[str, Value]) -> None:
        name = self.random.choice(_NAMES)
        chance = self.random.random()
        if chance < 0.1:
            self.clear(key, field, path, False)
        elif chance < 0.3 and name in value:
            self.record(Update(TABLE, key, field, (*path, name), kinds.ERASED, None))
        elif isinstance(value.get(name), (list, dict)):
            self.change_mixed(key, field, (*path, name), value[name])
        else:
            kind, payload = self.mixed((*path, name))
            self.record(Update(TABLE, key, field, (*path, name), kind, payload))
            self.clear_new_collection(key, field, (*path, name), kind)

    def change_set(self, key: int, field: str, path: Path) -> None:
        chance = self.random.random()
        value = self.random.randrange(3)
        if chance < 0.1:
            self.record(Clear(TABLE, key, field, path, kinds.SET_COLLECTION))
        elif chance < 0.6:
            self.record(SetInsert(TABLE, key, field, path, kinds.INT, value))
        else:
            self.record(SetErase(TABLE, key, field, path, kinds.INT, value))

    def change_embedded(self, key: int, field: str, path: Path, value: Value) -> None:
        create = Update(TABLE, key, field, path, kinds.OBJECT, None)
        remove = Update(TABLE, key, field, path, kinds.NULL, None)
        if value is None:
            self.record(create)
        elif self.random.random() < 0.1:
            self.record(remove)
        elif self.random.random() < 0.1:
            self.record(remove, create)
        else:
            self.change_inside(key, field, path, value)

    def change_inside(self, key: int, field: str, path: Path, value: Embedded) -> None:
        name = self.random.choice(list(EMBEDDED_FIELDS))
        self.change(key, field, (*path, name), name, value[name])
