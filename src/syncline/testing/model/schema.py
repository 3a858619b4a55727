"""What classes and properties are, for the reference model; their JSON forms both ways (tests/vectors/README.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from syncline.changesets.json_form import text_from_json
from syncline.values import kinds

__all__ = [
    "ANYTHING",
    "TYPE_NAMES",
    "ClassDef",
    "PropertyDef",
    "class_from_dump",
    "class_from_json",
    "class_to_dump",
    "property_from_json",
]

Json: TypeAlias = Any

TYPES: Final[dict[str, int]] = {
    "int": kinds.INT,
    "bool": kinds.BOOL,
    "string": kinds.STRING,
    "binary": kinds.BINARY,
    "timestamp": kinds.TIMESTAMP,
    "float": kinds.FLOAT,
    "double": kinds.DOUBLE,
    "decimal": kinds.DECIMAL,
    "link": kinds.LINK,
    "objectid": kinds.OBJECT_ID,
    "uuid": kinds.UUID,
    "mixed": kinds.MIXED,
}
TYPE_NAMES: Final = {code: name for name, code in TYPES.items()}
_COLLECTIONS: Final = {
    None: kinds.SINGLE_COLLECTION,
    "list": kinds.LIST_COLLECTION,
    "set": kinds.SET_COLLECTION,
    "dict": kinds.DICTIONARY_COLLECTION,
}
_MARKS: Final = {
    "": kinds.SINGLE_COLLECTION,
    "[]": kinds.LIST_COLLECTION,
    "<>": kinds.SET_COLLECTION,
    "{}": kinds.DICTIONARY_COLLECTION,
}
_MARK_NAMES: Final = {code: mark for mark, code in _MARKS.items()}
_TYPE_TEXT: Final = re.compile(r"(?s)(?:link:(?P<target>.*?)|(?P<type>[a-z]+))(?P<null>\??)(?P<mark>|\[\]|<>|\{\})")


class PropertyDef(NamedTuple):
    """A property, or what an element of a collection must be."""

    name: str
    type: int
    nullable: bool
    collection: int = kinds.SINGLE_COLLECTION
    target: str | None = None


#: The rules for what stands inside a Mixed.
ANYTHING: Final = PropertyDef("", kinds.MIXED, True)


class ClassDef:
    """A class: its kind (of ``values.kinds``), its primary key if it has one, the other properties by name."""

    def __init__(self, name: str, kind: int, primary_key: PropertyDef | None) -> None:
        self.name = name
        self.kind = kind
        self.primary_key = primary_key
        self.properties: dict[str, PropertyDef] = {}

    def copy(self) -> ClassDef:
        """One that changes independently."""
        other = ClassDef(self.name, self.kind, self.primary_key)
        other.properties = dict(self.properties)
        return other

    @property
    def embedded(self) -> bool:
        """Do its objects live inside others?"""
        return self.kind == kinds.EMBEDDED


def nullability(type: int, collection: int, nullable: bool) -> bool:
    """Mixed and links leave no choice (spec/changesets.md §10.4)."""
    if type == kinds.MIXED:
        return True
    if type == kinds.LINK:
        return collection in (kinds.SINGLE_COLLECTION, kinds.DICTIONARY_COLLECTION)
    return nullable


def class_from_json(form: Mapping[str, Json]) -> ClassDef:
    """The class of an operation ``schema``, still without properties."""
    kind = kinds.EMBEDDED if form.get("embedded") else kinds.ASYMMETRIC if form.get("asymmetric") else kinds.TOP_LEVEL
    key = form.get("pk")
    if key is None:
        return ClassDef(text_from_json(form["name"]), kind, None)
    primary_key = PropertyDef(text_from_json(key["name"]), TYPES[key["type"]], bool(key.get("nullable")))
    return ClassDef(text_from_json(form["name"]), kind, primary_key)


def property_from_json(form: Mapping[str, Json]) -> PropertyDef:
    """A property of an operation ``schema``."""
    type, collection = TYPES[form["type"]], _COLLECTIONS[form.get("collection")]
    target = text_from_json(form["target"]) if form.get("target") is not None else None
    nullable = nullability(type, collection, bool(form.get("nullable")))
    return PropertyDef(text_from_json(form["name"]), type, nullable, collection, target)


def class_to_dump(info: ClassDef) -> Json:
    """The class as a canonical dump shows it."""
    key = info.primary_key
    key_form = None
    if key is not None:
        key_form = {"name": key.name, "nullable": key.nullable, "type": TYPE_NAMES[key.type]}
    return {
        "embedded": info.embedded,
        "pk": key_form,
        "props": {prop.name: _type_text(prop) for prop in info.properties.values()},
    }


def _type_text(prop: PropertyDef) -> str:
    mark = _MARK_NAMES[prop.collection]
    if prop.type == kinds.LINK:
        return f"link:{prop.target}{mark}"
    return TYPE_NAMES[prop.type] + ("?" if prop.nullable and prop.type != kinds.MIXED else "") + mark


def class_from_dump(name: str, form: Mapping[str, Json], asymmetric: bool) -> ClassDef:
    """The class that :func:`class_to_dump` shows; a dump does not tell which ones are asymmetric."""
    key = form["pk"]
    kind = kinds.EMBEDDED if form["embedded"] else kinds.ASYMMETRIC if asymmetric else kinds.TOP_LEVEL
    info = ClassDef(name, kind, PropertyDef(key["name"], TYPES[key["type"]], key["nullable"]) if key else None)
    for prop_name, text in form["props"].items():
        match = _TYPE_TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f"not a type: {text!r}")
        type = TYPES[match["type"] or "link"]
        collection = _MARKS[match["mark"]]
        nullable = nullability(type, collection, bool(match["null"]))
        info.properties[prop_name] = PropertyDef(prop_name, type, nullable, collection, match["target"])
    return info
