"""Applying instructions to the reference model (spec/changesets.md §10, spec/merge.md §7).

Strict where spec/changesets.md asks a receiver to be: what cannot be applied raises ModelError.
"""

from __future__ import annotations

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
    PathInstruction,
    SetErase,
    SetInsert,
    Update,
)
from syncline.testing.model.executing import wrapped
from syncline.testing.model.schema import ClassDef, PropertyDef, nullability
from syncline.testing.model.state import Place, State, element_rules, fitting
from syncline.testing.model.values import NULL, Dictionary, Embedded, List, ModelError, Scalar, Set, Value
from syncline.values import Link, kinds

__all__ = ["apply"]

_Collection: TypeAlias = "type[List] | type[Dictionary] | type[Set]"
_PAYLOAD_COLLECTIONS: Final[dict[int, _Collection]] = {kinds.LIST: List, kinds.DICTIONARY: Dictionary}
_CLEARED: Final[dict[int, _Collection]] = {
    kinds.LIST_COLLECTION: List,
    kinds.DICTIONARY_COLLECTION: Dictionary,
    kinds.SET_COLLECTION: Set,
}


def apply(state: State, instruction: Instruction) -> None:
    """Apply one instruction in place. Raises ModelError; the state may be half changed then."""
    if isinstance(instruction, PathInstruction):
        _change(state, instruction, _place(state, instruction))
    elif isinstance(instruction, CreateObject):
        state.create(state.cls(instruction.table), instruction.key)
    elif isinstance(instruction, EraseObject):
        cls = state.cls(instruction.table)
        state.check_key(cls, instruction.key)
        state.objects[cls.name].pop(instruction.key, None)
    elif isinstance(instruction, AddTable):
        key = PropertyDef(instruction.pk_field, instruction.pk_type, instruction.pk_nullable)
        keyless = instruction.table_type == kinds.EMBEDDED or instruction.pk_type == kinds.GLOBAL_KEY
        state.add_class(ClassDef(instruction.table, instruction.table_type, None if keyless else key))
    elif isinstance(instruction, AddColumn):
        _add_column(state, instruction)
    elif isinstance(instruction, EraseColumn):
        state.erase_property(state.cls(instruction.table), instruction.field)
    else:
        assert isinstance(instruction, EraseTable)
        _erase_table(state, state.cls(instruction.table))


def _add_column(state: State, column: AddColumn) -> None:
    if column.collection == kinds.DICTIONARY_COLLECTION and column.key_type != kinds.STRING:
        raise ModelError("a dictionary must have string keys")
    nullable = nullability(column.value_type, column.collection, column.nullable)
    target = column.link_target if column.value_type == kinds.LINK else None
    prop = PropertyDef(column.field, column.value_type, nullable, column.collection, target)
    state.add_property(state.cls(column.table), prop)


def _erase_table(state: State, cls: ClassDef) -> None:
    """Links to the class that Mixed values of others hold become null."""

    def gone(value: Value) -> bool:
        return isinstance(value, Scalar) and isinstance(value.value, Link) and value.value.table == cls.name

    state.erase_class(cls)
    state.replace_values(gone, cut=False)


def _place(state: State, instruction: PathInstruction) -> Place:
    place = state.property(state.object(state.cls(instruction.table), instruction.key), instruction.field)
    for step in instruction.path:
        place = state.step(place, step, visible=False)
    return place


def _change(state: State, instruction: PathInstruction, place: Place) -> None:
    if isinstance(instruction, Update):
        _update(state, instruction, place)
    elif isinstance(instruction, AddInteger):
        _add_integer(instruction, place)
    elif isinstance(instruction, Clear):
        _clear(instruction.collection, place)
    elif isinstance(instruction, (SetInsert, SetErase)):
        held = place.get()
        if not isinstance(held, Set):
            raise ModelError("the path does not lead to a set")
        member = _scalar(state, element_rules(place), instruction.kind, instruction.value)
        if isinstance(instruction, SetInsert):
            held.put(member)
        else:
            held.erase(member)
    else:
        _change_list(state, instruction, place)


# --- single values ----------------------------------------------------------------------------------------------------


def _update(state: State, update: Update, place: Place) -> None:
    entry = isinstance(place.holder, Dictionary)
    held = place.get()
    if place.is_property and place.rules.collection != kinds.SINGLE_COLLECTION:
        raise ModelError("a whole collection cannot be updated")
    if held is None and not entry:
        raise ModelError("the index is outside the list")
    if update.kind == kinds.ERASED:
        if not isinstance(place.holder, Dictionary):
            raise ModelError("only an entry of a dictionary can be erased")
        place.holder.pop(str(place.step), None)
    elif update.kind == kinds.OBJECT:
        if entry or (place.is_property and held == NULL):
            place.put(state.new_embedded(place.rules))
        elif not isinstance(held, Embedded):
            raise ModelError("there can be no embedded object")
    elif update.kind in _PAYLOAD_COLLECTIONS:
        _make_collection(_PAYLOAD_COLLECTIONS[update.kind], place)
    else:
        place.put(_scalar(state, place.rules, update.kind, update.value))


def _make_collection(kind: _Collection, place: Place) -> None:
    """Make a Mixed place a collection; one of that kind stays with its content."""
    if place.rules.type != kinds.MIXED or kind is Set:
        raise ModelError("there can be no such collection")
    if not isinstance(place.get(), kind):
        place.put(kind())


def _scalar(state: State, rules: PropertyDef, kind: int, value: object) -> Scalar:
    """A value or link for a place; the link's target need not exist, its class must."""
    if kind != kinds.LINK or not isinstance(value, Link):
        return fitting(rules, kind, value)
    state.check_key(state.cls(value.table), value.key)
    if rules.type != kinds.MIXED and (rules.type != kinds.LINK or rules.target != value.table):
        raise ModelError(f"{rules.name!r} cannot hold a link to {value.table!r}")
    return Scalar(kind, value)


def _add_integer(instruction: AddInteger, place: Place) -> None:
    held = place.get()
    if not place.is_property or not isinstance(held, Scalar) or place.rules.type not in (kinds.INT, kinds.MIXED):
        raise ModelError("there is no integer to add to")
    if isinstance(held.value, int) and held.kind == kinds.INT:
        place.put(Scalar(kinds.INT, wrapped(held.value + instruction.value)))
    elif held.value is not None:
        raise ModelError("the mixed value is no integer")


def _clear(collection: int, place: Place) -> None:
    """Empty a collection; a Mixed place becomes an empty one, a missing key of a dictionary too (merge.md trap 8)."""
    held = place.get()
    if place.is_property and place.rules.collection != kinds.SINGLE_COLLECTION:
        if collection not in (kinds.SINGLE_COLLECTION, place.rules.collection):
            raise ModelError("the collection is of another kind")
        place.put(_CLEARED[place.rules.collection]())
    elif held is None and isinstance(place.holder, List):
        raise ModelError("the index is outside the list")
    elif place.rules.type != kinds.MIXED or collection not in (kinds.LIST_COLLECTION, kinds.DICTIONARY_COLLECTION):
        raise ModelError("only a mixed value can become an empty list or dictionary")
    else:
        place.put(_CLEARED[collection]())


# --- lists ------------------------------------------------------------------------------------------------------------


def _change_list(state: State, instruction: PathInstruction, place: Place) -> None:
    elements, index = place.holder, place.step
    assert isinstance(instruction, (ArrayInsert, ArrayMove, ArrayErase))
    if not isinstance(elements, List) or not isinstance(index, int):
        raise ModelError("the path does not lead to an element of a list")
    size = len(elements)
    if instruction.prior_size != size:
        raise ModelError(f"the list has {size} elements, not {instruction.prior_size}")
    if index >= size + isinstance(instruction, ArrayInsert):
        raise ModelError(f"index {index} is outside the list of {size}")
    if isinstance(instruction, ArrayErase):
        del elements[index]
    elif isinstance(instruction, ArrayMove):
        if instruction.ndx_2 >= size or instruction.ndx_2 == index:
            raise ModelError(f"a move from {index} to {instruction.ndx_2} in a list of {size}")
        elements.insert(instruction.ndx_2, elements.pop(index))
    else:
        elements.insert(index, _new_element(state, instruction, place.rules))


def _new_element(state: State, insertion: ArrayInsert, rules: PropertyDef) -> Value:
    if insertion.kind == kinds.OBJECT:
        return state.new_embedded(rules)
    if insertion.kind in _PAYLOAD_COLLECTIONS:
        if rules.type != kinds.MIXED:
            raise ModelError("there can be no such collection")
        return _PAYLOAD_COLLECTIONS[insertion.kind]()
    return _scalar(state, rules, insertion.kind, insertion.value)
