"""A schema and objects in plain Python, for queries without a Realm; each query is then asked of a Realm, too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from syncline import ObjectSchema, Property, Realm, RealmConfiguration
from syncline.query.arguments import bind
from syncline.query.ast import ClassLike, LinkLiteral, PropertyLike, Query
from syncline.query.evaluator import evaluate
from syncline.query.parser import parse
from syncline.query.paths import Names
from syncline.query.resolve import resolve
from syncline.values import Decimal128, kinds
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
        self.text = text
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
        self._stored: Stored | None = None

    def stored(self) -> Stored:
        """The same objects in a Realm."""
        size = {number: len(rows) for number, rows in self.rows.items()}
        if self._stored is None or self._stored.size != size:
            self._stored = Stored(self)
        return self._stored

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
    """The numbers of the objects that a query finds, by the evaluator and in a Realm."""
    cls = objects.schema.classes[class_name]
    query = resolved(objects.schema, class_name, rql, *arguments, names=names)
    expected = evaluate(query, cls, range(len(objects.rows[cls.id])), objects)
    if names is None and not _NUMBERED.search(rql):
        stored = objects.stored()
        stored.check(class_name, rql, arguments, expected)
    return expected


# --- the same in a Realm ----------------------------------------------------------------------------------------------

#: Objects by their numbers in a file are others there.
_NUMBERED = re.compile(r"\b(O[0-9]+|L[0-9]+:[0-9]+)\b")


class Stored:
    """The objects in a Realm in memory. There every property may be null: what rows lack is."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.size = {number: len(rows) for number, rows in objects.rows.items()}
        schema = [_stored_class(cls) for cls in objects.schema.classes.values()]
        self.realm = Realm.open(RealmConfiguration(in_memory=True, schema=schema))
        self.made: dict[int, list[Any]] = {}
        self.by_name = {cls.name: self.made.setdefault(cls.id, []) for cls in objects.schema.classes.values()}
        with self.realm.write():
            for cls in objects.schema.classes.values():
                self._make(cls, objects.rows[cls.id])
            for cls in objects.schema.classes.values():
                for made, row in zip(self.made[cls.id], objects.rows[cls.id], strict=False):
                    for name, value in row.items():
                        if not cls.properties[name].primary:
                            self._set(made, name, value)

    def _make(self, cls: Class, rows: list[dict[str, Any]]) -> None:
        if cls.embedded:
            return
        key = cls.primary_key
        for number, row in enumerate(rows):
            values = {} if key is None else {key.name: row.get(key.name, number)}
            self.made[cls.id].append(self.realm.create(cls.name, values))

    def _set(self, made: Any, name: str, value: Any) -> None:
        setattr(made, name, self.given(value))

    def given(self, value: Any) -> Any:
        """A value as an application has it."""
        if isinstance(value, LinkLiteral):
            made = self.made[value.class_id or 0]
            return made[value.object_key] if made else self.objects.rows[value.class_id or 0][value.object_key]
        if isinstance(value, list | set):
            return [self.given(each) for each in value]
        if isinstance(value, dict):
            return {key: self.given(each) for key, each in value.items()}
        return value.to_decimal() if isinstance(value, Decimal128) else value

    def check(self, class_name: str, rql: str, arguments: tuple[Any, ...], expected: list[int]) -> None:
        """The query finds the same, in SQL where there is SQL for it."""
        results = self.realm.objects(class_name).filter(rql, *map(self.given, arguments))
        numbers = {made: number for number, made in enumerate(self.by_name[class_name])}
        assert [numbers[made] for made in results] == expected, results.explain().sql
        assert len(self.realm.objects(class_name).filter(rql, *map(self.given, arguments))) == len(expected)


def _stored_class(cls: Class) -> ObjectSchema:
    kind = kinds.EMBEDDED if cls.embedded else kinds.TOP_LEVEL
    return ObjectSchema(cls.name, [_stored_property(prop) for prop in cls.properties.values()], kind=kind)


def _stored_property(prop: Prop) -> Property:
    base = prop.text.strip("*!?")
    if prop.type not in (kinds.LINK, kinds.MIXED) and not prop.primary:
        brackets = base[-2:] if base[-2:] in COLLECTIONS else ""
        base = base.removesuffix(brackets).strip("?").replace("decimal", "decimal128") + "?" + brackets
    return Property(prop.name, base, primary_key=prop.primary, index="fulltext" if "!" in prop.text else False)
