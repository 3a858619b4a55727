"""Reading CLASS, KEY and PROPERTY of ``syncline why``, and the value that is there now."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from typing import Final, NamedTuple
from uuid import UUID as Uuid

from syncline.changesets.instructions import Path
from syncline.errors import SynclineError
from syncline.merge.wording import place_text
from syncline.storage.catalogue import Catalogue, ClassInfo, PropertyInfo
from syncline.storage.dump import Json, value_form
from syncline.storage.reader import Reader, Value
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.values import GlobalKey, Key, ObjectId
from syncline.values.kinds import (
    DICTIONARY_COLLECTION,
    INT,
    KIND_NAMES,
    LIST_COLLECTION,
    MIXED,
    OBJECT_ID,
    SET_COLLECTION,
    SINGLE_COLLECTION,
    STRING,
)

__all__ = ["Found", "Place", "PlaceError", "current_value", "find_class", "read_key", "read_place"]

_SUGGESTIONS: Final = 3
_STEP: Final = re.compile(r"""\.([^.\[\]]+)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]""")


class PlaceError(SynclineError):
    """The class, key or property that was asked for cannot be read, or does not exist."""


class Place(NamedTuple):
    """A property and a path inside it, as changesets name them."""

    prop: PropertyInfo
    path: Path


class Found(NamedTuple):
    """A value as JSON, and the path to it as changesets count: with links to missing objects, which nobody sees."""

    value: Json
    path: Path


def find_class(catalogue: Catalogue, name: str) -> ClassInfo:
    """The class of that name. Raises PlaceError."""
    info = catalogue.find(name)
    if info is None:
        raise PlaceError(f"there is no class {name!r} in this Realm{_suggest(name, catalogue.classes)}")
    if info.embedded:
        owners = sorted(
            f"{catalogue.by_id[prop.class_id].name}.{prop.name}" for prop in catalogue.links_to(info) if prop.embedded
        )
        raise PlaceError(
            f"objects of the embedded class {name!r} have no keys: ask for the property that holds them"
            f" ({', '.join(owners) or 'there is none'})"
        )
    return info


def _suggest(name: str, known: Iterable[str]) -> str:
    """What was probably meant, or what there is."""
    names = sorted(known)
    by_case = [candidate for candidate in names if candidate.lower() == name.lower()]
    close = by_case or difflib.get_close_matches(name, names, _SUGGESTIONS)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return f"; there are: {', '.join(names)}" if names else "; there is none at all"


def read_key(info: ClassInfo, text: str) -> Key:
    """A key as the class's primary key has it; for classes without one ``hi-lo``. Raises PlaceError."""
    prop = info.primary_key
    if prop is None:
        match = re.fullmatch(r"(\d+)-(\d+)", text)
        if match is None:
            raise PlaceError(f"{info.name} has no primary key: its objects are named like 3-17, not {text!r}")
        return GlobalKey(int(match[1]), int(match[2]))
    if prop.nullable and text == "null":
        return None
    try:
        if prop.type == INT:
            return int(text)
        if prop.type == OBJECT_ID:
            return ObjectId(text)
        if prop.type == STRING:
            return str(json.loads(text)) if re.fullmatch(r'"(?:[^"\\]|\\.)*"', text) else text
        return Uuid(text)
    except ValueError:
        kind = KIND_NAMES[prop.type]
        raise PlaceError(f"{text!r} is no key of {info.name}: {prop.name} is of type {kind}") from None


def read_place(catalogue: Catalogue, info: ClassInfo, text: str) -> Place:
    """A property, or a place inside one: ``age``, ``walks[2].title``, ``tags.color``, ``tags["a.b"]``.

    Raises PlaceError for what the schema cannot have.
    """
    name = text if text in info.properties else re.split(r"[.\[]", text, maxsplit=1)[0]
    prop = _property(info, name)
    steps: list[int | str] = []
    position = len(name)
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            raise PlaceError(f"cannot read {text!r} from {text[position:]!r} on: write for example walks[2].title")
        steps.append(int(match[2]) if match[2] else json.loads(match[3]) if match[3] else match[1])
        position = match.end()
    _check_path(catalogue, prop, steps, text)
    return Place(prop, tuple(steps))


def _property(info: ClassInfo, name: str) -> PropertyInfo:
    prop = info.properties.get(name)
    if prop is None:
        raise PlaceError(f"{info.name} has no property {name!r}{_suggest(name, info.properties)}")
    return prop


def _check_path(catalogue: Catalogue, prop: PropertyInfo, steps: list[int | str], text: str) -> None:
    """Follow the path as far as the schema knows; inside a Mixed anything may be."""
    collection = prop.collection
    for number, step in enumerate(steps):
        if collection == SET_COLLECTION:
            raise PlaceError(f"{text}: members of a set have no place; ask for {prop.name}")
        if collection != SINGLE_COLLECTION:
            if isinstance(step, int) != (collection == LIST_COLLECTION):
                wanted = "a list: write [0]" if collection == LIST_COLLECTION else "a dictionary: write .name"
                raise PlaceError(f"{text}: {prop.name} is {wanted}")
            collection = SINGLE_COLLECTION
            continue
        if prop.type == MIXED:
            return
        if not prop.embedded or prop.target is None or not isinstance(step, str):
            inner = place_text("", tuple(steps[number:]))
            raise PlaceError(f"{text}: there is nothing inside {prop.name} that {inner} could name")
        prop = _property(catalogue.classes[prop.target], step)
        collection = prop.collection


def current_value(reader: Reader, info: ClassInfo, k: int, place: Place) -> Found | None:
    """What is at the place now; None if there is no such entry of a dictionary.

    Raises PlaceError for an index that no list has now: nobody could say what it was the index of.
    """
    prop = place.prop
    value: Value = reader.get(info, k, prop)
    kind = prop.type
    path: list[int | str] = []
    for step in place.path:
        real = step
        try:
            if isinstance(value, CollectionRef) and value.kind == LIST_COLLECTION and isinstance(step, int):
                real = reader.list_real_index(value, step)
            value, kind = _step(reader, value, kind, step)
        except (LookupError, TypeError):
            if not any(isinstance(step, int) for step in place.path):
                return None
            there = place_text(prop.name, tuple(path))
            raise PlaceError(f"{there} has no {place_text('', (step,)).lstrip('.')} now") from None
        path.append(real)
    return Found(value_form(reader, kind, value), tuple(path))


def _step(reader: Reader, value: Value, kind: int, step: int | str) -> tuple[Value, int]:
    if isinstance(value, CollectionRef):
        if value.kind == LIST_COLLECTION and isinstance(step, int):
            return reader.list_get(value, step), kind
        if value.kind == DICTIONARY_COLLECTION and isinstance(step, str):
            return reader.dict_get(value, step), kind
    elif isinstance(value, ObjectRef) and isinstance(step, str):
        owned = reader.catalogue.by_id[value.class_id]
        prop = owned.properties[step]
        return reader.get(owned, value.object_key, prop), prop.type
    raise TypeError(f"nothing is inside {value!r}")
