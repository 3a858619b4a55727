"""A small model of a Realm's state and of applying a changeset to it (spec/merge.md §7, spec/changesets.md §10).

One class T, keyed by int; what a field is follows from its name. Written to be obviously right, not fast. It checks
what merging has to keep true: sizes of lists, indices, existence of what is changed.
"""

from __future__ import annotations

import copy
from typing import Any

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
    PathInstruction,
    SetErase,
    SetInsert,
    Update,
)
from syncline.values import kinds

Value = Any

#: The fields of T and of the embedded objects in it, with the value of a new object.
FIELDS: dict[str, Value] = {
    "i": None,  # int
    "m": None,  # mixed
    "k": None,  # link
    "l": [],  # list of int
    "lm": [],  # list of mixed
    "d": {},  # dictionary of mixed
    "s": set(),  # set of int
    "e": None,  # embedded object
    "ee": [],  # list of embedded objects
    "de": {},  # dictionary of embedded objects
}
EMBEDDED_FIELDS: dict[str, Value] = {"v": None, "w": None, "el": [], "em": None}

_EMPTY: dict[int, Value] = {kinds.LIST_COLLECTION: [], kinds.DICTIONARY_COLLECTION: {}, kinds.SET_COLLECTION: set()}


class ModelError(Exception):
    """The changeset cannot be applied: a peer would refuse it as bad."""


class Embedded(dict[str, Value]):
    """An embedded object."""


def new_embedded() -> Embedded:
    return Embedded(copy.deepcopy(EMBEDDED_FIELDS))


class State:
    """All objects of T."""

    def __init__(self, objects: dict[int, dict[str, Value]] | None = None) -> None:
        self.objects: dict[int, dict[str, Value]] = {}
        for key, fields in (objects or {}).items():
            self.create(key).update({name: _embed(name, value) for name, value in fields.items()})

    def create(self, key: int) -> dict[str, Value]:
        return self.objects.setdefault(key, copy.deepcopy(FIELDS))

    def copy(self) -> State:
        other = State()
        other.objects = copy.deepcopy(self.objects)
        return other

    def apply(self, changesets: list[Changeset]) -> State:
        """Apply changesets to a copy."""
        other = self.copy()
        for changeset in changesets:
            for instruction in changeset.instructions:
                other.execute(instruction)
        return other

    def execute(self, instruction: Instruction) -> None:
        """Apply one instruction in place."""
        if isinstance(instruction, CreateObject):
            self.create(instruction.key)
        elif isinstance(instruction, EraseObject):
            self.objects.pop(instruction.key, None)
        elif isinstance(instruction, PathInstruction):
            if instruction.key not in self.objects:
                raise ModelError(f"no such object: {instruction}")
            holder, step = self._place(instruction)
            _change(instruction, holder, step)
        else:
            raise ModelError(f"not in this model: {instruction}")

    def _place(self, instruction: PathInstruction) -> tuple[Value, int | str]:
        holder: Value = self.objects[instruction.key]
        step: int | str = instruction.field
        for following in instruction.path:
            holder = _element(holder, step, instruction)
            step = following
        if isinstance(holder, list) != isinstance(step, int):
            raise ModelError(f"an index in no list, or a name in a list: {instruction}")
        return holder, step


def _embed(field: str, value: Value) -> Value:
    """Make embedded objects of the plain dictionaries of an example."""
    if field == "e" and isinstance(value, dict):
        return Embedded({**copy.deepcopy(EMBEDDED_FIELDS), **value})
    if field == "ee":
        return [Embedded({**copy.deepcopy(EMBEDDED_FIELDS), **element}) for element in value]
    return value


def _element(holder: Value, step: int | str, instruction: Instruction) -> Value:
    try:
        return holder[step]
    except (KeyError, IndexError, TypeError):
        raise ModelError(f"no such place: {instruction}") from None


def _change(instruction: PathInstruction, holder: Value, step: Any) -> None:
    if isinstance(instruction, Update):
        _update(instruction, holder, step)
    elif isinstance(instruction, AddInteger):
        value = _element(holder, step, instruction)
        if value is not None:
            if not isinstance(value, int):
                raise ModelError(f"not an integer: {instruction}")
            holder[step] = (value + instruction.value + 2**63) % 2**64 - 2**63
    elif isinstance(instruction, (ArrayInsert, ArrayMove, ArrayErase)):
        _change_list(instruction, holder, step)
    elif isinstance(instruction, Clear):
        if not (isinstance(holder, dict) and not isinstance(holder, Embedded)):
            _element(holder, step, instruction)  # a missing key of a dictionary is created (trap 8)
        holder[step] = copy.deepcopy(_EMPTY[instruction.collection])
    elif isinstance(instruction, SetInsert):
        _element(holder, step, instruction).add(instruction.value)
    elif isinstance(instruction, SetErase):
        _element(holder, step, instruction).discard(instruction.value)
    else:
        raise ModelError(f"not in this model: {instruction}")


def _update(instruction: Update, holder: Value, step: Any) -> None:
    is_dictionary = isinstance(holder, dict) and not (isinstance(holder, Embedded) or "ee" in holder)
    if instruction.kind == kinds.ERASED:
        if not is_dictionary:
            raise ModelError(f"only a dictionary entry can be erased: {instruction}")
        holder.pop(step, None)
        return
    if not is_dictionary:
        _element(holder, step, instruction)
    if instruction.kind == kinds.OBJECT:
        if is_dictionary or (not isinstance(holder, list) and holder[step] is None):
            holder[step] = new_embedded()
    elif instruction.kind == kinds.LIST:
        if not isinstance(holder.get(step) if is_dictionary else holder[step], list):
            holder[step] = []
    elif instruction.kind == kinds.DICTIONARY:
        if not isinstance(holder.get(step) if is_dictionary else holder[step], dict):
            holder[step] = {}
    else:
        holder[step] = instruction.value


def _change_list(instruction: ArrayInsert | ArrayMove | ArrayErase, elements: list[Value], index: int) -> None:
    if not isinstance(elements, list) or len(elements) != instruction.prior_size:
        raise ModelError(f"prior_size is not the size of the list: {instruction}")
    limit = instruction.prior_size + isinstance(instruction, ArrayInsert)
    if index >= limit:
        raise ModelError(f"index out of range: {instruction}")
    if isinstance(instruction, ArrayInsert):
        elements.insert(index, _new_element(instruction.kind, instruction.value))
    elif isinstance(instruction, ArrayErase):
        del elements[index]
    else:
        if instruction.ndx_2 >= limit or instruction.ndx_2 == index:
            raise ModelError(f"a move to nowhere: {instruction}")
        elements.insert(instruction.ndx_2, elements.pop(index))


def _new_element(kind: int, value: Value) -> Value:
    if kind == kinds.OBJECT:
        return new_embedded()
    return {kinds.LIST: [], kinds.DICTIONARY: {}}.get(kind, value)
