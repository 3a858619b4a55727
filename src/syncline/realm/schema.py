"""Schemas as data: classes, properties, and the rules they must keep (spec/sdk.md §1, §12.1 *Dynamic schema*).

An :class:`ObjectSchema` comes from a model class, from the file, or is written by hand in the short notation::

    ObjectSchema("Dog", [Property("id", "int", primary_key=True), Property("name", "string?"), Property("friends",
    "Dog[]")])
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from syncline.errors import SchemaError, SchemaValidationError
from syncline.values import kinds

__all__ = ["MISSING", "ObjectSchema", "Property", "PropertyType", "schema_error", "validate"]

#: Names of the types in the short notation (spec/sdk.md §1.1).
TYPE_NAMES: Final[dict[str, int]] = {
    "int": kinds.INT,
    "bool": kinds.BOOL,
    "string": kinds.STRING,
    "data": kinds.BINARY,
    "date": kinds.TIMESTAMP,
    "float": kinds.FLOAT,
    "double": kinds.DOUBLE,
    "mixed": kinds.MIXED,
    "objectId": kinds.OBJECT_ID,
    "decimal128": kinds.DECIMAL,
    "uuid": kinds.UUID,
}
_NAME_OF: Final = {kind: name for name, kind in TYPE_NAMES.items()}
_BRACKETS: Final = {
    "": kinds.SINGLE_COLLECTION,
    "[]": kinds.LIST_COLLECTION,
    "<>": kinds.SET_COLLECTION,
    "{}": kinds.DICTIONARY_COLLECTION,
}
_BRACKETS_OF: Final = {collection: text for text, collection in _BRACKETS.items()}
_NOTATION: Final = re.compile(r"(?P<base>[^\[\]<>{}?]+)(?P<optional>\??)(?P<brackets>(\[\]|<>|\{\})?)")

CLASS_NAME_MAX_BYTES: Final = 57
PROPERTY_NAME_MAX_BYTES: Final = 63

_KEY_TYPES: Final = frozenset({kinds.INT, kinds.STRING, kinds.OBJECT_ID, kinds.UUID})
_INDEXABLE: Final = frozenset(
    {kinds.INT, kinds.BOOL, kinds.STRING, kinds.TIMESTAMP, kinds.OBJECT_ID, kinds.UUID, kinds.MIXED}
)


class _Missing:
    """The type of :data:`MISSING`."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


#: No value given, as opposed to None, which is one.
MISSING: Final = _Missing()


@dataclass(frozen=True, slots=True)
class PropertyType:
    """What a property holds: ``kind`` of ``values.kinds``, whether the value (in a collection: the element) may be
    null, which ``collection`` it is, and for links the stored name of the ``target`` class.
    """

    kind: int
    nullable: bool = False
    collection: int = kinds.SINGLE_COLLECTION
    target: str | None = None

    @classmethod
    def parse(cls, text: str) -> PropertyType:
        """Read the short notation: ``int``, ``string?``, ``double?[]``, ``Dog``, ``Dog[]``, ``Dog<>``, ``mixed{}``.

        Raises SchemaError for text that is none.
        """
        match = _NOTATION.fullmatch(text)
        if match is None:
            raise SchemaError(f"{text!r} is no property type; write for instance 'int', 'string?', 'double[]' or 'Dog'")
        base, optional, collection = match["base"], bool(match["optional"]), _BRACKETS[match["brackets"]]
        kind = TYPE_NAMES.get(base)
        if kind is None:
            null_link = collection in (kinds.SINGLE_COLLECTION, kinds.DICTIONARY_COLLECTION)
            return cls(kinds.LINK, optional or null_link, collection, base)
        return cls(kind, optional or kind == kinds.MIXED, collection)

    @property
    def is_collection(self) -> bool:
        """Whether this is a list, set or dictionary."""
        return self.collection != kinds.SINGLE_COLLECTION

    def __str__(self) -> str:
        base = self.target or "object" if self.kind == kinds.LINK else _NAME_OF[self.kind]
        optional = "?" if self.nullable and self.kind not in (kinds.MIXED, kinds.LINK) else ""
        return base + optional + _BRACKETS_OF[self.collection]


@dataclass(frozen=True)
class Property:
    """One property of a class.

    ``type`` is a :class:`PropertyType` or its short notation; ``stored_name`` is the name in the file and on the
    wire, the same as ``name`` unless given; ``index`` is True or ``"fulltext"``; ``counter`` marks an int that the
    application sees as a :class:`~syncline.Counter`; ``exact`` a date that is always read as a
    :class:`~syncline.Timestamp`. ``default`` and ``default_factory`` apply when an object is created without a value
    for it (spec/sdk.md §1.3).
    """

    name: str
    type: PropertyType
    primary_key: bool = False
    index: bool | str = False
    default: Any = MISSING
    default_factory: Callable[[], Any] | None = None
    stored_name: str = ""
    counter: bool = False
    exact: bool = False

    def __init__(
        self,
        name: str,
        type: PropertyType | str,
        *,
        primary_key: bool = False,
        index: bool | str = False,
        default: Any = MISSING,
        default_factory: Callable[[], Any] | None = None,
        stored_name: str | None = None,
        counter: bool = False,
        exact: bool = False,
    ) -> None:
        values = {
            "name": name,
            "type": PropertyType.parse(type) if isinstance(type, str) else type,
            "primary_key": primary_key,
            "index": index,
            "default": default,
            "default_factory": default_factory,
            "stored_name": stored_name or name,
            "counter": counter,
            "exact": exact,
        }
        for attribute, value in values.items():
            object.__setattr__(self, attribute, value)

    @property
    def has_default(self) -> bool:
        """Whether the model gives a value to new objects that are created without one."""
        return self.default is not MISSING or self.default_factory is not None

    @property
    def required(self) -> bool:
        """Whether creating an object needs a value for this."""
        return not (self.type.nullable or self.type.is_collection or self.has_default)


@dataclass(frozen=True)
class ObjectSchema:
    """One class: its public name, its properties in the order of declaration, and its kind of ``values.kinds``."""

    name: str
    properties: tuple[Property, ...]
    kind: int = kinds.TOP_LEVEL
    stored_name: str = ""
    by_name: Mapping[str, Property] = field(init=False, repr=False, compare=False)

    def __init__(
        self, name: str, properties: Iterable[Property], *, kind: int = kinds.TOP_LEVEL, stored_name: str | None = None
    ) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "properties", tuple(properties))
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "stored_name", stored_name or name)
        object.__setattr__(self, "by_name", {prop.name: prop for prop in self.properties})

    @property
    def primary_key(self) -> Property | None:
        """The property that names objects of the class, if it has one."""
        return next((prop for prop in self.properties if prop.primary_key), None)


def schema_error(problems: Iterable[str]) -> SchemaValidationError:
    """One error that lists all problems, one per line (spec/sdk.md §1.7)."""
    listed = list(problems)
    if len(listed) == 1:
        return SchemaValidationError(listed[0], listed)
    text = "\n".join(f"- {problem}" for problem in listed)
    return SchemaValidationError(f"the schema has {len(listed)} problems:\n{text}", listed)


def validate(classes: Iterable[ObjectSchema]) -> None:
    """Check that the classes can live together in one Realm.

    Raises SchemaError with every problem found (spec/sdk.md §1.7, V1–V12).
    """
    schemas = list(classes)
    known = {schema.stored_name: schema for schema in schemas}
    problems = [f"the class name {name!r} is used twice" for name in _repeated(s.stored_name for s in schemas)]
    for schema in schemas:
        problems += _class_problems(schema, known)
    if not problems:
        problems = _embedded_cycles(known)
    if problems:
        raise schema_error(problems)


def class_problems(schema: ObjectSchema) -> list[str]:
    """What is wrong with one class by itself, without looking at the classes it links to."""
    where = schema.name
    problems = _name_problems(where, "class", schema.stored_name, CLASS_NAME_MAX_BYTES)
    problems += [f"{where}.{name}: declared twice" for name in _repeated(prop.name for prop in schema.properties)]
    stored = [prop.stored_name for prop in schema.properties]
    problems += [f"{where}: two properties are stored as {name!r}" for name in _repeated(stored)]
    for prop in schema.properties:
        if prop.name != prop.stored_name and any(
            p.stored_name == prop.name for p in schema.properties if p is not prop
        ):
            problems.append(f"{where}.{prop.name}: another property is stored under this name; choose another one")
        problems += _property_problems(f"{where}.{prop.name}", prop)
    keys = [prop.name for prop in schema.properties if prop.primary_key]
    if len(keys) > 1:
        problems.append(f"{where}: two primary keys, {' and '.join(keys)}; a class has at most one")
    if keys and schema.kind == kinds.EMBEDDED:
        problems.append(f"{where}.{keys[0]}: embedded objects have no primary key; they belong to their parent")
    if schema.kind == kinds.ASYMMETRIC and not keys:
        problems.append(f"{where}: a class of asymmetric objects needs a primary key")
    return problems


def _property_problems(where: str, prop: Property) -> list[str]:
    kind, single = prop.type.kind, not prop.type.is_collection
    problems = _name_problems(where, "property", prop.stored_name, PROPERTY_NAME_MAX_BYTES)
    if kind == kinds.LINK and single and not prop.type.nullable:
        problems.append(
            f"{where}: a link can always be null, because its target may be deleted: declare it as "
            f"'{prop.type.target} | None'"
        )
    if (
        kind == kinds.LINK
        and prop.type.nullable
        and prop.type.collection in (kinds.LIST_COLLECTION, kinds.SET_COLLECTION)
    ):
        problems.append(f"{where}: a list or set of objects cannot hold None: declare it as '{prop.type.target}'")
    if prop.primary_key and (kind not in _KEY_TYPES or not single):
        problems.append(f"{where}: a primary key is an int, str, ObjectId or UUID, not {prop.type}")
    if prop.index == "fulltext":
        if kind != kinds.STRING or not single:
            problems.append(f"{where}: a full-text index needs a str property, not {prop.type}")
    elif prop.index not in (True, False):
        problems.append(f"{where}: index is True, False or 'fulltext', not {prop.index!r}")
    elif prop.index and not (kind in _INDEXABLE and (single or _list_of_strings(prop.type))):
        problems.append(f"{where}: a property of type {prop.type} cannot be indexed")
    return problems


def _list_of_strings(type: PropertyType) -> bool:
    return type.kind == kinds.STRING and type.collection == kinds.LIST_COLLECTION


def _name_problems(where: str, what: str, name: str, limit: int) -> list[str]:
    problems = []
    size = len(name.encode("utf-8", "surrogatepass"))
    if not name or size > limit:
        problems.append(f"{where}: the {what} name {name!r} has {size} bytes; it may have 1 to {limit}")
    if "\0" in name or not name.isprintable():
        problems.append(f"{where}: the {what} name {name!r} holds characters that cannot be printed")
    return problems


def _class_problems(schema: ObjectSchema, known: Mapping[str, ObjectSchema]) -> list[str]:
    problems = class_problems(schema)
    for prop in schema.properties:
        if prop.type.kind != kinds.LINK:
            continue
        target = known.get(prop.type.target or "")
        where = f"{schema.name}.{prop.name}"
        if target is None:
            problems.append(
                f"{where}: links to {prop.type.target}, which is not in the schema; add it to the schema list"
            )
        elif target.kind == kinds.ASYMMETRIC:
            problems.append(f"{where}: nothing can link to {target.name}, whose objects are asymmetric")
        elif target.kind == kinds.EMBEDDED and prop.type.collection == kinds.SET_COLLECTION:
            problems.append(f"{where}: a set cannot hold embedded objects; use a list")
    if schema.kind == kinds.ASYMMETRIC:
        problems.append(f"{schema.name}: asymmetric objects need a Realm with flexible sync")
    return problems


def _embedded_cycles(known: Mapping[str, ObjectSchema]) -> list[str]:
    """Embedded classes that can only contain each other without end (V12)."""
    leads_to = {
        name: [
            p.type.target for p in schema.properties if p.type.kind == kinds.LINK and _embedded(known, p.type.target)
        ]
        for name, schema in known.items()
        if schema.kind == kinds.EMBEDDED
    }
    problems = []
    for start in leads_to:
        reached: set[str] = set()
        todo = list(leads_to[start])
        while todo:
            name = todo.pop()
            if name is not None and name not in reached:
                reached.add(name)
                todo += leads_to[name]
        if start in reached:
            problems.append(
                f"{known[start].name}: an embedded object cannot contain one of its own class, even indirectly"
            )
    return problems


def _embedded(known: Mapping[str, ObjectSchema], name: str | None) -> bool:
    return name is not None and known[name].kind == kinds.EMBEDDED


def _repeated(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    twice: dict[str, None] = {}
    for name in names:
        if name in seen:
            twice[name] = None
        seen.add(name)
    return list(twice)
