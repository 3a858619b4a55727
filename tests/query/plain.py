"""A schema and objects in plain Python, for queries without a Realm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from syncline.query.arguments import bind
from syncline.query.ast import ClassLike, LinkLiteral, PropertyLike, Query
from syncline.query.evaluator import evaluate
from syncline.query.parser import parse
from syncline.query.paths import Names
from syncline.query.resolve import resolve
from syncline.values import kinds
from syncline.values.order import sort_key

TYPES = {
    "int": kinds.INT,
    "bool": kinds.BOOL,
    "string": kinds.STRING,
    "data": kinds.BINARY,
    "date": kinds.TIMESTAMP,
    "float": kinds.FLOAT,
    "double": kinds.DOUBLE,
    "decimal": kinds.DECIMAL,
    "objectId": kinds.OBJECT_ID,
    "uuid": kinds.UUID,
    "mixed": kinds.MIXED,
}
COLLECTIONS = {
    "": kinds.SINGLE_COLLECTION,
    "[]": kinds.LIST_COLLECTION,
    "<>": kinds.SET_COLLECTION,
    "{}": kinds.DICTIONARY_COLLECTION,
}


class Prop:
    """``"int?"``, ``"string[]"``, ``"Dog{}"``, ``"string!"`` (full text), ``"int*"`` (primary key)."""

    def __init__(self, id: int, class_id: int, name: str, text: str) -> None:
        self.id, self.class_id, self.name = id, class_id, name
        self.primary = "*" in text
        self.indexed = 2 if "!" in text else 0
        self.nullable = "?" in text
        suffix = next((each for each in ("[]", "<>", "{}") if each in text), "")
        self.collection = COLLECTIONS[suffix]
        base = text.strip("*!?").removesuffix(suffix).strip("?")
        self.type = TYPES.get(base, kinds.LINK)
        self.target = base if self.type == kinds.LINK else None


class Class:
    def __init__(self, id: int, name: str, properties: Mapping[str, str], embedded: bool) -> None:
        self.id, self.name, self.embedded = id, name, embedded
        self.properties = {n: Prop(id * 100 + i, id, n, t) for i, (n, t) in enumerate(properties.items())}
        self.primary_key = next((p for p in self.properties.values() if p.primary), None)


class Schema:
    """``Schema(Dog={"name": "string"}, Point_={…})``: a trailing underscore marks an embedded class."""

    def __init__(self, **classes: Mapping[str, str]) -> None:
        self.classes = {
            name.rstrip("_"): Class(id, name.rstrip("_"), properties, name.endswith("_"))
            for id, (name, properties) in enumerate(classes.items(), 1)
        }

    def find(self, name: str) -> Class | None:
        return self.classes.get(name)


class Objects:
    """Objects by class name: ``add("Dog", name="Rex")`` gives a link to it, which can be the value of another."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.rows: dict[int, list[dict[str, Any]]] = {cls.id: [] for cls in schema.classes.values()}

    def add(self, class_name: str, **values: Any) -> LinkLiteral:
        cls = self.schema.classes[class_name]
        assert set(values) <= set(cls.properties), values
        self.rows[cls.id].append(values)
        return LinkLiteral(cls.id, len(self.rows[cls.id]) - 1)

    def row(self, cls: ClassLike, key: int) -> dict[str, Any]:
        return self.rows[cls.id][key]

    def value(self, cls: ClassLike, key: int, prop: PropertyLike) -> object:
        return self.row(cls, key).get(prop.name)

    def elements(self, cls: ClassLike, key: int, prop: PropertyLike) -> Iterable[object]:
        content = self.row(cls, key).get(prop.name, ())
        if prop.collection == kinds.SET_COLLECTION:
            return sorted(content, key=sort_key)
        return list(content.values()) if isinstance(content, dict) else list(content)

    def items(self, cls: ClassLike, key: int, prop: PropertyLike) -> Iterable[tuple[str, object]]:
        return sorted(self.row(cls, key).get(prop.name, {}).items())

    def backlinks(self, cls: ClassLike, key: int, source: ClassLike, prop: PropertyLike) -> Iterable[int]:
        target = LinkLiteral(cls.id, key)
        for number, row in enumerate(self.rows[source.id]):
            yield from [number] * _occurrences(row.get(prop.name), target)

    def find(self, cls: ClassLike, primary_key: object) -> int | None:
        name = cls.primary_key.name if cls.primary_key is not None else ""
        return next((n for n, row in enumerate(self.rows[cls.id]) if row.get(name) == primary_key), None)


def _occurrences(value: object, target: LinkLiteral) -> int:
    if isinstance(value, LinkLiteral):
        return int(value == target)
    if isinstance(value, dict):
        return sum(_occurrences(each, target) for each in value.values())
    return sum(_occurrences(each, target) for each in value) if isinstance(value, list | set | tuple) else 0


def refer(value: object, target: ClassLike | None) -> object:
    """Links stand for themselves."""
    if isinstance(value, LinkLiteral) and (target is None or value.class_id == target.id):
        return value
    from syncline.errors import QueryArgumentError

    raise QueryArgumentError(f"{value!r} is no object of the class that is linked to")


def resolved(schema: Schema, class_name: str, rql: str, *arguments: Any, names: Names | None = None) -> Query:
    return resolve(bind(parse(rql), arguments), schema.classes[class_name], schema, refer, names)


def found(objects: Objects, class_name: str, rql: str, *arguments: Any, names: Names | None = None) -> list[int]:
    """The numbers of the objects that a query finds."""
    cls = objects.schema.classes[class_name]
    query = resolved(objects.schema, class_name, rql, *arguments, names=names)
    return evaluate(query, cls, range(len(objects.rows[cls.id])), objects)
