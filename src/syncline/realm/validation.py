"""The rules that schemas keep, alone and together (spec/sdk.md §1.2, §1.4–1.7): V1–V14, all problems at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Flag
from typing import Final

from syncline.realm.schema import ObjectSchema, Property, PropertyType, schema_error
from syncline.values import kinds

__all__ = ["ValidationMode", "class_problems", "validate"]

CLASS_NAME_MAX_BYTES: Final = 57
PROPERTY_NAME_MAX_BYTES: Final = 63

_KEY_TYPES: Final = frozenset({kinds.INT, kinds.STRING, kinds.OBJECT_ID, kinds.UUID})
_INDEXABLE: Final = frozenset(
    {kinds.INT, kinds.BOOL, kinds.STRING, kinds.TIMESTAMP, kinds.OBJECT_ID, kinds.UUID, kinds.MIXED}
)


class ValidationMode(Flag):
    """What a schema is for (spec/sdk.md §1.4): the sync of the App Services era asks for more than any other use."""

    BASIC = 0
    #: partition-based sync: every ordinary class has a primary key of the name ``_id``
    SYNC_PARTITION = 1
    #: flexible sync: the same, and asymmetric classes are possible
    SYNC_FLEXIBLE = 2
    #: every embedded class can be reached from one that is not
    REJECT_EMBEDDED_ORPHANS = 4
    #: asymmetric classes are possible: what flexible sync is without the rules of App Services
    ALLOW_ASYMMETRIC = 8


def validate(classes: Iterable[ObjectSchema], mode: ValidationMode = ValidationMode.BASIC) -> None:
    """Check that the classes can live together in one Realm.

    Raises SchemaValidationError with every problem found (spec/sdk.md §1.7, V1–V14).
    """
    schemas = list(classes)
    known = {schema.stored_name: schema for schema in schemas}
    problems = [f"the class name {name!r} is used twice" for name in _repeated(s.stored_name for s in schemas)]
    problems += [
        f"the class name {name!r} is used twice"
        for name in _repeated(s.name for s in schemas)
        if not any(s.stored_name == name for s in schemas)
    ]
    for schema in schemas:
        problems += class_problems(schema)
        for prop in schema.properties:
            problems += _link_problems(schema, prop, known)
        for prop in schema.computed:
            problems += _backlinks_problems(schema, prop, known)
        problems += _sync_problems(schema, mode)
    if not problems:
        problems = _embedded_cycles(known)
        if ValidationMode.REJECT_EMBEDDED_ORPHANS in mode:
            problems += _embedded_orphans(known)
    if problems:
        raise schema_error(problems)


# --- one class by itself ----------------------------------------------------------------------------------------------


def class_problems(schema: ObjectSchema) -> list[str]:
    """What is wrong with one class by itself, without looking at the classes it links to."""
    where = schema.name
    properties = (*schema.properties, *schema.computed)
    problems = _name_problems(where, "class", schema.stored_name, CLASS_NAME_MAX_BYTES)
    problems += [f"{where}.{name}: declared twice" for name in _repeated(prop.name for prop in properties)]
    stored = [prop.stored_name for prop in schema.properties]
    problems += [f"{where}: two properties are stored as {name!r}" for name in _repeated(stored)]
    for prop in properties:
        if prop.name != prop.stored_name or prop.type.is_computed:
            others = (p for p in schema.properties if p is not prop and p.name != prop.name)
            if any(p.stored_name == prop.name for p in others):
                problems.append(f"{where}.{prop.name}: another property is stored under this name; choose another one")
        problems += _property_problems(f"{where}.{prop.name}", prop)
    return problems + _key_problems(schema)


def _key_problems(schema: ObjectSchema) -> list[str]:
    where = schema.name
    keys = [prop.name for prop in schema.properties if prop.primary_key]
    problems = []
    if schema.named_key is not None and schema.named_key not in keys:
        problems.append(f"{where}: its primary key {schema.named_key!r} is none of its properties")
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
    problems += _nullability_problems(where, prop.type)
    if kind != kinds.LINK and prop.type.target is not None:
        problems.append(
            f"{where}: a property of type {prop.type} has no target class, but {prop.type.target} was given"
        )
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


def _nullability_problems(where: str, type: PropertyType) -> list[str]:
    """Against the table of spec/sdk.md §1.2."""
    if type.is_computed:
        listed = type.collection == kinds.LIST_COLLECTION and type.kind == kinds.LINK
        problems = [] if listed else [f"{where}: backlinks are a list of objects"]
        return problems + ([f"{where}: backlinks cannot be None"] if type.nullable else [])
    if type.kind == kinds.MIXED and not type.nullable:
        return [f"{where}: a Mixed value can always be None: declare it as nullable"]
    if type.kind != kinds.LINK:
        return []
    if type.collection == kinds.SINGLE_COLLECTION and not type.nullable:
        return [
            f"{where}: a link can always be null, because its target may be deleted: declare it as "
            f"'{type.target} | None'"
        ]
    if type.collection == kinds.DICTIONARY_COLLECTION and not type.nullable:
        return [f"{where}: a link in a dictionary can always be None, because its target may be deleted"]
    if type.collection in (kinds.LIST_COLLECTION, kinds.SET_COLLECTION) and type.nullable:
        return [f"{where}: a list or set of objects cannot hold None: declare it as '{type.target}'"]
    return []


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


# --- classes together -------------------------------------------------------------------------------------------------


def _link_problems(schema: ObjectSchema, prop: Property, known: Mapping[str, ObjectSchema]) -> list[str]:
    if prop.type.kind != kinds.LINK:
        return []
    where = f"{schema.name}.{prop.name}"
    target = known.get(prop.type.target or "")
    if target is None:
        return [f"{where}: links to {prop.type.target}, which is not in the schema; add it to the schema list"]
    if target.kind == kinds.ASYMMETRIC:
        return [f"{where}: nothing can link to {target.name}, whose objects are asymmetric"]
    if target.kind == kinds.EMBEDDED and prop.type.collection == kinds.SET_COLLECTION:
        return [f"{where}: a set cannot hold embedded objects; use a list"]
    return []


def _backlinks_problems(schema: ObjectSchema, prop: Property, known: Mapping[str, ObjectSchema]) -> list[str]:
    where = f"{schema.name}.{prop.name}"
    if not prop.type.target:
        return [f"{where}: backlinks need the class that links here"]
    if not prop.type.origin:
        return [f"{where}: backlinks need the name of the property that links here"]
    source = known.get(prop.type.target)
    if source is None:
        return [
            f"{where}: backlinks come from {prop.type.target}, which is not in the schema; add it to the schema list"
        ]
    if schema.kind == kinds.ASYMMETRIC:
        return [f"{where}: nothing can link to {schema.name}, whose objects are asymmetric"]
    origin = next((p for p in source.properties if prop.type.origin in (p.name, p.stored_name)), None)
    if origin is None:
        return [f"{where}: {source.name} has no property {prop.type.origin!r} that is stored"]
    if origin.type.kind != kinds.LINK or origin.type.target != schema.stored_name:
        return [f"{where}: {source.name}.{origin.name} does not link to {schema.name}"]
    return []


def _sync_problems(schema: ObjectSchema, mode: ValidationMode) -> list[str]:
    if schema.kind == kinds.ASYMMETRIC and not mode & (ValidationMode.SYNC_FLEXIBLE | ValidationMode.ALLOW_ASYMMETRIC):
        return [f"{schema.name}: asymmetric objects need a Realm with flexible sync"]
    asks_for_id = mode & (ValidationMode.SYNC_PARTITION | ValidationMode.SYNC_FLEXIBLE)
    if not asks_for_id or schema.kind == kinds.EMBEDDED:
        return []
    key = schema.primary_key
    if key is None:
        return [f"{schema.name}: this sync needs a primary key with the name '_id'"]
    if key.stored_name != "_id":
        return [f"{schema.name}.{key.name}: this sync needs the primary key to be stored as '_id': Field(name='_id')"]
    return []


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
        if start in _reachable(leads_to[start], leads_to):
            problems.append(
                f"{known[start].name}: an embedded object cannot contain one of its own class, even indirectly"
            )
    return problems


def _embedded_orphans(known: Mapping[str, ObjectSchema]) -> list[str]:
    """Embedded classes whose objects nothing could own (V13)."""
    links = {name: [p.type.target for p in schema.properties if p.type.target] for name, schema in known.items()}
    owners = [name for name, schema in known.items() if schema.kind != kinds.EMBEDDED]
    reached = _reachable(owners, links)
    return [
        f"{schema.name}: no class that is not embedded leads to it, so it could have no objects; leave it out"
        for name, schema in known.items()
        if schema.kind == kinds.EMBEDDED and name not in reached
    ]


def _reachable(starts: Iterable[str | None], links: Mapping[str, list[str | None] | list[str]]) -> set[str]:
    reached: set[str] = set()
    todo = list(starts)
    while todo:
        name = todo.pop()
        if name is not None and name not in reached:
            reached.add(name)
            todo += links.get(name, ())
    return reached


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
