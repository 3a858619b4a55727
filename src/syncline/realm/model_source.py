"""Model classes as text: the source of a Python module for the classes of a file (spec/sdk.md §14, row 73).

What comes out is formatted as ruff and black format it, and runs as it is. Names that Python cannot have, or that would
be in the way of others, are mapped: the stored name stands in ``Field(name=…)`` or ``class Meta``.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple
from unicodedata import east_asian_width, normalize

from syncline.realm.geo import GeoPointModel
from syncline.realm.models import AsymmetricModel, EmbeddedModel, Model, ModelMeta
from syncline.realm.schema import ObjectSchema, Property, PropertyType
from syncline.values import kinds

__all__ = ["model_source"]

_WIDTH: Final = 120
_INDENT: Final = " " * 4

#: How a kind is written in annotations, and the module that the name comes from ("" for builtins).
_NAMES: Final = {
    kinds.INT: ("int", ""),
    kinds.BOOL: ("bool", ""),
    kinds.STRING: ("str", ""),
    kinds.BINARY: ("bytes", ""),
    kinds.TIMESTAMP: ("datetime", "datetime"),
    kinds.FLOAT: ("Float32", "syncline"),
    kinds.DOUBLE: ("float", ""),
    kinds.MIXED: ("Any", "typing"),
    kinds.OBJECT_ID: ("ObjectId", "syncline"),
    kinds.DECIMAL: ("Decimal", "decimal"),
    kinds.UUID: ("UUID", "uuid"),
}
_COLLECTIONS: Final = {
    kinds.LIST_COLLECTION: "List",
    kinds.SET_COLLECTION: "Set",
    kinds.DICTIONARY_COLLECTION: "Dictionary",
}
_BASES: Final[dict[int, ModelMeta]] = {
    kinds.TOP_LEVEL: Model,
    kinds.EMBEDDED: EmbeddedModel,
    kinds.ASYMMETRIC: AsymmetricModel,
}
#: Names that mean something else in the module.
_TAKEN: Final = frozenset(
    {name for name, _ in _NAMES.values()}
    | {*_COLLECTIONS.values(), "Backlinks", "Field", "Final", "Meta", "SCHEMA", "SCHEMA_VERSION", "annotations", "self"}
    | {base.__name__ for base in (*_BASES.values(), GeoPointModel)}
)
#: The properties of a GeoPointModel, which are not written again.
_POINT: Final = {
    "type": PropertyType(kinds.STRING),
    "coordinates": PropertyType(kinds.DOUBLE, collection=kinds.LIST_COLLECTION),
}


class _Named(NamedTuple):
    """A class and the names that it and its properties have in Python, by stored names."""

    schema: ObjectSchema
    name: str
    base: ModelMeta
    properties: Mapping[str, str]


def model_source(schemas: Iterable[ObjectSchema], *, file_name: str = "", version: int | None = None) -> str:
    """The text of a module with a model class for each of the classes, which have their stored names.

    It also has ``SCHEMA``, the list of the classes, and ``SCHEMA_VERSION``, which is ``version`` or 0. ``file_name`` is
    for its first line.
    """
    listed = _in_order({schema.stored_name: schema for schema in schemas})
    names = _class_names([schema.stored_name for schema in listed])
    classes = {schema.stored_name: _named(schema, names) for schema in listed}
    bodies = ["\n".join(_class(named, classes)) for named in classes.values()]
    parts = [
        _docstring(file_name),
        "from __future__ import annotations",
        *_imports(classes.values()),
        f"SCHEMA_VERSION = {version or 0}",
    ]
    schema = _fitting("SCHEMA: list[type[Model]] = [", list(names.values()), "]", one_per_line=True)
    return "\n\n".join(parts) + "\n\n\n" + "".join(f"{body}\n\n\n" for body in bodies) + f"{schema}\n"


def _in_order(schemas: Mapping[str, ObjectSchema]) -> list[ObjectSchema]:
    """Each class behind those that it links to, as far as that goes; otherwise in their order."""
    placed: dict[str, ObjectSchema] = {}
    visited: set[str] = set()
    for start in schemas:
        todo = [(start, False)]
        while todo:
            name, done = todo.pop()
            if done:
                placed[name] = schemas[name]
            elif name not in visited and name in schemas:
                visited.add(name)
                todo.append((name, True))
                targets = [prop.type.target for prop in schemas[name].properties if prop.type.target]
                todo += [(target, False) for target in reversed(targets)]
    return list(placed.values())


# --- the parts of the module ------------------------------------------------------------------------------------------


def _docstring(file_name: str) -> str:
    of = f" of {file_name}" if re.fullmatch(r"[\w .+-]{1,60}", file_name) else " of a Realm file"
    return (
        f'"""Model classes{of}, as Syncline found them.\n\n'
        "A file does not know everything about its models. To be added where they are wanted: defaults, backlinks\n"
        "with names of their own, attributes that are not stored, `Counter` for integers that count, `Timestamp`\n"
        'for dates that need nanoseconds, types of your own.\n"""'
    )


def _imports(classes: Iterable[_Named]) -> Iterator[str]:
    wanted: dict[str, set[str]] = {"syncline": {"Model"}}
    for named in classes:
        wanted["syncline"].add(named.base.__name__)
        for prop in _written(named):
            if prop.type.kind != kinds.LINK:
                name, module = _NAMES[prop.type.kind]
                if module:
                    wanted.setdefault(module, set()).add(name)
            if prop.type.is_collection:
                wanted["syncline"].add(_COLLECTIONS[prop.type.collection])
            if _arguments(named, prop):
                wanted["syncline"].add("Field")
    own = sorted(wanted.pop("syncline"), key=str.lower)
    standard = [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(wanted.items())]
    if standard:
        yield "\n".join(standard)
    line = f"from syncline import {', '.join(own)}"
    yield line if len(line) <= _WIDTH else _fitting("from syncline import (", own, ")", one_per_line=True)


def _class(named: _Named, classes: Mapping[str, _Named]) -> Iterator[str]:
    """The lines of a class."""
    schema = named.schema
    yield f"class {named.name}({named.base.__name__}):"
    written = list(_written(named))
    if named.name != schema.stored_name:
        yield f"{_INDENT}class Meta:"
        yield f"{_INDENT * 2}name = {_quoted(schema.stored_name)}"
        if written:
            yield ""
    elif not written:
        yield f"{_INDENT}pass"
    for prop in written:
        before, inside, after = _annotation(prop.type, classes)
        line = f"{_INDENT}{named.properties[prop.stored_name]}: {before}"
        arguments = _arguments(named, prop)
        value = " = Field(" if arguments else ""
        if _width(f"{line}{inside}{after}{value}") > _WIDTH:  # very long names: the annotation is broken
            before, after = ("", after) if after else ("(", ")")
            yield _fitting(f"{line}{before}", [inside], f"{after}{value}{', '.join(arguments)}{')' * bool(value)}")
        elif arguments:
            yield _fitting(f"{line}{inside}{after}{value}", arguments, ")")
        else:
            yield f"{line}{inside}{after}"
    if written and schema.kind == kinds.TOP_LEVEL:
        yield from _incoming(schema, classes)


def _incoming(schema: ObjectSchema, classes: Mapping[str, _Named]) -> Iterator[str]:
    """Comments that say what links to the class, from which backlinks could be made."""
    for source in classes.values():
        for prop in source.schema.properties:
            if prop.type.target == schema.stored_name:
                name = source.properties[prop.stored_name]
                line = f'{_INDENT}# linked from {source.name}.{name}: Backlinks[{source.name}] = Backlinks.of("{name}")'
                if _width(line) <= _WIDTH:
                    yield line


def _written(named: _Named) -> Iterator[Property]:
    """The properties that stand in the class."""
    inherited = _POINT if named.base is GeoPointModel else ()
    return (prop for prop in named.schema.properties if prop.stored_name not in inherited)


def _annotation(type: PropertyType, classes: Mapping[str, _Named]) -> tuple[str, str, str]:
    """An annotation in three parts: of a collection what stands before, between and behind the brackets."""
    inside = classes[type.target or ""].name if type.kind == kinds.LINK else _NAMES[type.kind][0]
    if type.nullable and type.kind != kinds.MIXED:
        inside += " | None"
    return (f"{_COLLECTIONS[type.collection]}[", inside, "]") if type.is_collection else ("", inside, "")


def _arguments(named: _Named, prop: Property) -> list[str]:
    """What ``Field`` is given."""
    arguments = []
    if prop.primary_key:
        arguments.append("primary_key=True")
    if named.properties[prop.stored_name] != prop.stored_name:
        arguments.append(f"name={_quoted(prop.stored_name)}")
    if prop.index and not prop.primary_key:
        arguments.append("index=True" if prop.index is True else f'index="{prop.index}"')
    return arguments


def _fitting(before: str, parts: Sequence[str], after: str, *, one_per_line: bool = False) -> str:
    """All on one line; if that is too long, the parts between the brackets on lines of their own."""
    together = ", ".join(parts)
    line = f"{before}{together}{after}"
    if _width(line) <= _WIDTH:
        return line
    indent = before[: len(before) - len(before.lstrip())]
    inner = f"{indent}{_INDENT}{together}\n"
    if one_per_line or _width(inner) > _WIDTH + 1:
        inner = "".join(f"{indent}{_INDENT}{part},\n" for part in parts)
    return f"{before}\n{inner}{indent}{after}"


def _width(line: str) -> int:
    return len(line) if line.isascii() else len(line) + sum(east_asian_width(character) in "WF" for character in line)


def _quoted(text: str) -> str:
    """A string literal, in double quotes unless single ones need fewer backslashes."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    escaped = {"\\": "\\\\", quote: f"\\{quote}"}
    shown = (escaped.get(c) or (c if c.isprintable() else repr(c)[1:-1]) for c in text)
    return f"{quote}{''.join(shown)}{quote}"


# --- names ------------------------------------------------------------------------------------------------------------


def _class_names(stored: Sequence[str]) -> dict[str, str]:
    """Names in Python, by stored names; all that can stay do."""
    kept = {name for name in stored if _is_name(name) and name not in _TAKEN and not name[0].islower()}
    names: dict[str, str] = {}
    for name in stored:
        if name in kept:
            names[name] = name
            continue
        words = _words(name)
        wanted = "".join(word[0].upper() + word[1:] for word in words) or "Class"
        names[name] = _free(_as_name(wanted, "Class"), "", {*stored, *names.values()}, _TAKEN)
    return names


def _named(schema: ObjectSchema, names: Mapping[str, str]) -> _Named:
    """The class with the names of its properties, which are in the way neither of its base nor of other classes."""
    base = _BASES[schema.kind]
    stored = {prop.stored_name: prop for prop in schema.properties}
    points = all(
        name in stored and stored[name].type == type and not stored[name].index for name, type in _POINT.items()
    )
    if base is EmbeddedModel and points and not (stored.keys() - _POINT) & set(dir(GeoPointModel)):
        base = GeoPointModel
    taken = {*_TAKEN, *dir(base), *dir(ModelMeta), *names.values()} - set(_POINT)
    given: dict[str, str] = {}
    for name in stored:
        if _is_name(name) and name not in taken:
            given[name] = name
            continue
        wanted = "_".join(_words(name)) or "property"
        if wanted in taken:
            wanted = wanted.lower()  # Dog: Dog
        given[name] = _free(_as_name(wanted, "property_"), "_", {*stored, *given.values()}, taken)
    return _Named(schema, names[schema.stored_name], base, given)


def _is_name(name: str) -> bool:
    """Whether Python can have the name, also as that of a property."""
    plain = name.isidentifier() and not keyword.iskeyword(name)
    return plain and normalize("NFKC", name) == name and not name.startswith("_")


def _as_name(wanted: str, prefix: str) -> str:
    if keyword.iskeyword(wanted):
        return f"{wanted}_"
    return wanted if _is_name(wanted) else f"{prefix}{wanted}"


def _words(name: str) -> list[str]:
    """What of a name can stand in one in Python."""
    allowed = "".join(c if f"a{c}".isidentifier() else " " for c in normalize("NFKC", name))
    return [word.strip("_") for word in allowed.split() if word.strip("_")]


def _free(wanted: str, between: str, used: Collection[str], taken: Collection[str]) -> str:
    """The name, or one like it that nothing else has: with a number, and something between."""
    if wanted in taken:
        wanted += "_"
    name, number = wanted, 2
    while name in used or name in taken:
        name, number = f"{wanted.rstrip('_')}{between}{number}", number + 1
    return name
