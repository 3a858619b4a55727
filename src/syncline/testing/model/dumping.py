"""The canonical dump of a reference model, and a model of a dump (tests/vectors/README.md, fixtures.json)."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, TypeAlias
from uuid import UUID

from syncline.changesets.json_form import key_from_json, key_to_json, payload_from_json, payload_to_json
from syncline.testing.model.schema import PropertyDef, class_from_dump, class_to_dump
from syncline.testing.model.state import Place, State, element_rules, fitting
from syncline.testing.model.values import Dictionary, Embedded, Fields, List, Scalar, Set, Value
from syncline.values import Key, Link, ObjectId, kinds

__all__ = ["dump", "load"]

Json: TypeAlias = Any


def dump(state: State) -> dict[str, Json]:
    """The whole content as JSON values, sorted; links that lead nowhere are hidden."""
    objects = {
        name: [
            {"key": key_to_json(key), "props": _fields_to_json(state, members[key])}
            for key in sorted(members, key=_key_order)
        ]
        for name, members in sorted(state.objects.items())
    }
    return {"objects": objects, "schema": {name: class_to_dump(info) for name, info in sorted(state.classes.items())}}


def _key_order(key: Key) -> tuple[Any, ...]:
    """Keys of one class in the order of storage: null first, strings that are not UTF-8 last."""
    if key is None:
        return (0,)
    if isinstance(key, str):
        raw = key.encode("utf-8", "surrogateescape")
        return (1 if raw.decode("utf-8", "replace") == key else 2, raw)
    if isinstance(key, ObjectId):
        return (1, key.binary)
    if isinstance(key, UUID):
        return (1, key.bytes)
    return (1, key)


def _fields_to_json(state: State, fields: Fields) -> dict[str, Json]:
    return {name: _to_json(state, state.property(fields, name), value) for name, value in fields.items()}


def _to_json(state: State, place: Place, value: Value) -> Json:
    if isinstance(value, Embedded):
        return {"obj": _fields_to_json(state, value)}
    if isinstance(value, Scalar):
        if isinstance(value.value, Link) and not state.exists(value.value):
            return None
        return payload_to_json(value.kind, value.value)
    rules = element_rules(place)
    if isinstance(value, List):
        visible = [(at, element) for at, element in enumerate(value) if not state.hidden(rules, element)]
        return {"list": [_to_json(state, Place(value, at, rules), element) for at, element in visible]}
    if isinstance(value, Dictionary):
        return {"dict": {key: _to_json(state, Place(value, key, rules), value[key]) for key in sorted(value)}}
    members = [_to_json(state, place, member) for member in value.values() if not state.hidden(rules, member)]
    return {"set": sorted(members, key=_text)}


def _text(form: Json) -> str:
    return json.dumps(form, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def load(form: Mapping[str, Json], ident: int, asymmetric: Collection[str]) -> State:
    """The state that a dump shows: without hidden links, and without objects of asymmetric classes.

    A dump does not tell which classes are asymmetric: ``asymmetric`` does.
    """
    state = State(ident)
    for name, class_form in form["schema"].items():
        state.add_class(class_from_dump(name, class_form, name in asymmetric))
    for name, entries in form["objects"].items():
        for entry in entries:
            fields = state.create(state.cls(name), key_from_json(entry["key"]))
            _load_fields(state, fields, entry["props"])
    return state


def _load_fields(state: State, fields: Fields, form: Mapping[str, Json]) -> None:
    for name, value in form.items():
        place = state.property(fields, name)
        place.put(_from_json(state, place, value))


def _from_json(state: State, place: Place, form: Json) -> Value:
    if not isinstance(form, dict) or not form.keys() & {"obj", "list", "dict", "set"}:
        kind, value = payload_from_json(form)
        return Scalar(kind, value) if kind == kinds.LINK else fitting(_nullable(place.rules), kind, value)
    if "obj" in form:
        embedded = state.new_embedded(place.rules)
        _load_fields(state, embedded, form["obj"])
        return embedded
    rules = element_rules(place)
    if "list" in form:
        elements = List()
        elements.extend(_from_json(state, Place(elements, at, rules), e) for at, e in enumerate(form["list"]))
        return elements
    if "dict" in form:
        entries = Dictionary()
        entries.update((key, _from_json(state, Place(entries, key, rules), e)) for key, e in form["dict"].items())
        return entries
    members = Set()
    for member in form["set"]:
        value = _from_json(state, Place(List(), 0, rules), member)
        assert isinstance(value, Scalar)
        members.insert(value)
    return members


def _nullable(rules: PropertyDef) -> PropertyDef:
    """A link to nothing shows as null, also where no null can be."""
    return rules._replace(nullable=True)
