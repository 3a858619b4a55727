"""Carrying out local operations on the reference model (spec/changesets.md §9; tests/vectors/README.md, *Operations*).

What an operation does to the state; the instructions it records are storage's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from syncline.changesets.json_form import key_from_json, key_to_json, payload_from_json, text_from_json
from syncline.testing.model.schema import ClassDef, PropertyDef, class_from_json, property_from_json
from syncline.testing.model.state import Place, State, element_rules, fitting
from syncline.testing.model.values import NULL, Dictionary, Embedded, Fields, List, ModelError, Scalar, Set, Value
from syncline.values import GlobalKey, Key, Link, kinds

__all__ = ["execute"]

Json: TypeAlias = Any
Operation: TypeAlias = "Mapping[str, Json]"
Result: TypeAlias = "dict[str, Json]"

_KINDS: Final = {"list": List, "dict": Dictionary, "set": Set}
_WRAP: Final = 1 << 64


def execute(state: State, operation: Operation, key: Key = None) -> Result:
    """Carry out one operation; what it reports. Raises ModelError, ValueError for values that are none.

    ``key``: the one that an object without primary key gets; without it the state chooses one.
    """
    name = operation["op"]
    if name == "create":
        return _create(state, operation, key)
    if name not in _OPERATIONS:
        raise ModelError(f"unknown operation {name!r}")
    return _OPERATIONS[name](state, operation) or {}


# --- schema -----------------------------------------------------------------------------------------------------------


def _schema(state: State, operation: Operation) -> None:
    for form in operation["classes"]:
        if text_from_json(form["name"]) not in state.classes:
            state.add_class(class_from_json(form))
    for form in operation["classes"]:
        cls = state.cls(text_from_json(form["name"]))
        for prop in map(property_from_json, form.get("props", ())):
            existing = cls.properties.get(prop.name)
            if existing is not None and existing.nullable != prop.nullable:
                raise ModelError(f"property {cls.name}.{prop.name} exists with another nullability")
            state.add_property(cls, prop)


def _erase_class(state: State, operation: Operation) -> None:
    """Refused while a Mixed of another class holds a link to the class."""
    cls = state.cls(text_from_json(operation["class"]))
    for fields in state.all_fields():
        if fields.class_name != cls.name and any(map(_links_to(cls.name), fields.values())):
            raise ModelError(f"class {cls.name!r} is linked to by a value in {fields.class_name!r}")
    state.erase_class(cls)


def _links_to(table: str) -> Callable[[Value], bool]:
    def holds(value: Value) -> bool:
        if isinstance(value, Scalar):
            return isinstance(value.value, Link) and value.value.table == table
        if isinstance(value, Embedded):
            return False
        return any(map(holds, value if isinstance(value, List) else value.values()))

    return holds


def _erase_property(state: State, operation: Operation) -> None:
    state.erase_property(state.cls(text_from_json(operation["class"])), text_from_json(operation["prop"]))


# --- objects ----------------------------------------------------------------------------------------------------------


def _create(state: State, operation: Operation, key: Key) -> Result:
    cls = state.cls(text_from_json(operation["class"]))
    if "pk" in operation:
        key = key_from_json(operation["pk"])
    elif key is None and cls.primary_key is None:
        key = GlobalKey(state.ident, state.numbers.get(cls.name, 0))
    created = key not in state.objects.get(cls.name, {})
    fields = state.create(cls, key)
    for part in ("defaults", "values"):
        _set_properties(state, fields, operation.get(part, {}))
    result = {"key": key_to_json(key)}
    return {"created": created, **result} if "pk" in operation else result


def _set_properties(state: State, fields: Fields, values: Mapping[str, Json]) -> None:
    for name in sorted(values):
        _put(state, state.property(fields, name), values[name])


def _erase(state: State, operation: Operation) -> None:
    cls = state.cls(text_from_json(operation["class"]))
    key = key_from_json(operation["obj"])
    state.object(cls, key)
    _erase_objects(state, cls, [key])


def _clear_class(state: State, operation: Operation) -> None:
    cls = state.cls(text_from_json(operation["class"]))
    if cls.embedded:
        state.replace_values(lambda value: isinstance(value, Embedded) and value.class_name == cls.name, cut=True)
    else:
        _erase_objects(state, cls, list(state.objects[cls.name]))


def _erase_objects(state: State, cls: ClassDef, keys: Sequence[Key]) -> None:
    """Remove objects and before that all links to them (spec/changesets.md §9.3)."""
    gone = {Link(cls.name, key) for key in keys}
    state.replace_values(
        lambda value: isinstance(value, Scalar) and value.kind == kinds.LINK and value.value in gone, cut=True
    )
    for key in keys:
        del state.objects[cls.name][key]


# --- values -----------------------------------------------------------------------------------------------------------


def _place(state: State, operation: Operation) -> Place:
    """Where ``class``, ``obj`` and ``path`` lead."""
    cls = state.cls(text_from_json(operation["class"]))
    first, *rest = operation["path"]
    place = state.property(state.object(cls, key_from_json(operation["obj"])), text_from_json(first))
    for element in rest:
        place = state.step(place, element if type(element) is int else text_from_json(element), visible=True)
    return place


def _set(state: State, operation: Operation) -> None:
    _put(state, _place(state, operation), operation["value"])


def _put(state: State, place: Place, form: Json) -> None:
    """Set a place to a value, a new embedded object with its properties, or a collection with its elements."""
    if isinstance(place.holder, List) and place.get() is None:
        raise ModelError(f"index {place.step} is outside the list")
    if isinstance(form, Mapping) and "obj" in form:
        place.put(state.new_embedded(place.rules))
        _fill(state, place, form)
    elif isinstance(form, Mapping) and _KINDS.keys() & form.keys():
        kind = next(kind for name, kind in _KINDS.items() if name in form)
        if not isinstance(place.get(), kind):
            if place.rules.type != kinds.MIXED or kind is Set:
                raise ModelError(f"{place.rules.name!r} cannot hold a {kind.__name__.lower()}")
            place.put(kind())
        _fill(state, place, form)
    elif place.is_property and place.rules.collection != kinds.SINGLE_COLLECTION:
        raise ModelError(f"{place.rules.name!r} is a collection")
    else:
        place.put(_scalar(state, place.rules, form))


def _fill(state: State, place: Place, form: Mapping[str, Json]) -> None:
    """Add what ``form`` lists to the embedded object or collection at a place."""
    held = place.get()
    rules = element_rules(place)
    if isinstance(held, Embedded):
        _set_properties(state, held, form["obj"])
    elif isinstance(held, List):
        for element in form["list"]:
            _insert(state, held, len(held), rules, element)
    elif isinstance(held, Dictionary):
        for key in sorted(form["dict"]):
            _put(state, Place(held, key, rules), form["dict"][key])
    elif isinstance(held, Set):
        for member in form["set"]:
            held.insert(_scalar(state, rules, member))


def _insert(state: State, elements: List, index: int, rules: PropertyDef, form: Json) -> None:
    elements.insert(index, NULL)
    _put(state, Place(elements, index, rules), form)


def _scalar(state: State, rules: PropertyDef, form: Json) -> Scalar:
    """A value, or a link to an object that exists. Floats become what the place wants."""
    kind, value = payload_from_json(form)
    if isinstance(value, Link):
        if rules.type not in (kinds.MIXED, kinds.LINK) or rules.target not in (None, value.table):
            raise ModelError(f"{rules.name!r} cannot hold a link to {value.table!r}")
        if not state.exists(value):
            raise ModelError(f"there is no object {value}")
        return Scalar(kind, value)
    if {kind, rules.type} == {kinds.FLOAT, kinds.DOUBLE}:
        kind = rules.type
    return fitting(rules, kind, value)


def _add_int(state: State, operation: Operation) -> None:
    place = _place(state, operation)
    held = place.get()
    if not place.is_property or not isinstance(held, Scalar) or held.kind != kinds.INT:
        raise ModelError(f"there is no integer to add to at {operation['path']}")
    kind, value = payload_from_json(operation["value"])
    if kind != kinds.INT:
        raise ModelError("only an integer can be added")
    place.put(Scalar(kinds.INT, wrapped(held.value + value)))  # type: ignore[operator]


def wrapped(number: int) -> int:
    """The number modulo 2**64, as a signed one."""
    return (number + _WRAP // 2) % _WRAP - _WRAP // 2


# --- collections ------------------------------------------------------------------------------------------------------


def _list(state: State, operation: Operation) -> tuple[List, PropertyDef]:
    place = _place(state, operation)
    held = place.get()
    if not isinstance(held, List):
        raise ModelError(f"there is no list at {operation['path']}")
    return held, element_rules(place)


def _index(state: State, elements: List, rules: PropertyDef, visible: int) -> int:
    """The real index of an element that shows."""
    index = state.real_index(elements, rules, visible)
    if not 0 <= visible <= index < len(elements):
        raise ModelError(f"index {visible} is outside the list")
    return index


def _list_insert(state: State, operation: Operation) -> None:
    elements, rules = _list(state, operation)
    visible = sum(not state.hidden(rules, element) for element in elements)
    index = operation.get("index", visible)
    if not 0 <= index <= visible:
        raise ModelError(f"index {index} is outside the list of {visible}")
    _insert(state, elements, state.real_index(elements, rules, index), rules, operation["value"])


def _list_set(state: State, operation: Operation) -> None:
    elements, rules = _list(state, operation)
    _put(state, Place(elements, _index(state, elements, rules, operation["index"]), rules), operation["value"])


def _list_erase(state: State, operation: Operation) -> None:
    elements, rules = _list(state, operation)
    del elements[_index(state, elements, rules, operation["index"])]


def _list_move(state: State, operation: Operation) -> None:
    elements, rules = _list(state, operation)
    source, target = (_index(state, elements, rules, operation[end]) for end in ("from", "to"))
    elements.insert(target, elements.pop(source))


def _list_clear(state: State, operation: Operation) -> None:
    _list(state, operation)[0].clear()


def _a_set(state: State, operation: Operation) -> tuple[Set, PropertyDef]:
    place = _place(state, operation)
    held = place.get()
    if not isinstance(held, Set):
        raise ModelError(f"there is no set at {operation['path']}")
    return held, element_rules(place)


def _set_insert(state: State, operation: Operation) -> Result:
    members, rules = _a_set(state, operation)
    return {"changed": members.insert(_scalar(state, rules, operation["value"]))}


def _set_erase(state: State, operation: Operation) -> Result:
    members, rules = _a_set(state, operation)
    return {"changed": members.erase(_scalar(state, rules, operation["value"]))}


def _set_clear(state: State, operation: Operation) -> None:
    _a_set(state, operation)[0].clear()


def _dictionary(state: State, operation: Operation) -> tuple[Dictionary, PropertyDef]:
    place = _place(state, operation)
    held = place.get()
    if not isinstance(held, Dictionary):
        raise ModelError(f"there is no dictionary at {operation['path']}")
    return held, element_rules(place)


def _dict_set(state: State, operation: Operation) -> None:
    entries, rules = _dictionary(state, operation)
    _put(state, Place(entries, text_from_json(operation["key"]), rules), operation["value"])


def _dict_erase(state: State, operation: Operation) -> Result:
    entries, _ = _dictionary(state, operation)
    return {"changed": entries.pop(text_from_json(operation["key"]), None) is not None}


def _dict_clear(state: State, operation: Operation) -> None:
    _dictionary(state, operation)[0].clear()


_OPERATIONS: Final[dict[str, Callable[[State, Operation], Result | None]]] = {
    "schema": _schema,
    "erase_class": _erase_class,
    "erase_prop": _erase_property,
    "erase": _erase,
    "clear_class": _clear_class,
    "set": _set,
    "add_int": _add_int,
    "list_insert": _list_insert,
    "list_set": _list_set,
    "list_erase": _list_erase,
    "list_move": _list_move,
    "list_clear": _list_clear,
    "set_insert": _set_insert,
    "set_erase": _set_erase,
    "set_clear": _set_clear,
    "dict_set": _dict_set,
    "dict_erase": _dict_erase,
    "dict_clear": _dict_clear,
}
