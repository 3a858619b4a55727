"""The canonical dump of a Realm and its content hash (tests/vectors/README.md, fixtures.json).

``{"schema": {class: {embedded, pk, props}}, "objects": {class: [{key, props}]}}``: classes, objects, dictionary keys
and sets sorted; links to tombstones hidden. Equal content gives equal bytes, whatever the order things happened in: the
text is UTF-8, nothing but what JSON demands is escaped (the recorded order of sets tells that the original does this
too). The reader is used directly: hold its snapshot's lock meanwhile.

Values can be nested as deep as a path is long (``changesets/limits.py``), deeper than Python recurses: what is inside a
value is therefore filled in later, from a list of what is still to do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Final, TypeAlias

from syncline.changesets.json_form import key_to_json, payload_to_json
from syncline.storage.catalogue import Catalogue, ClassInfo, PropertyInfo
from syncline.storage.columns import kind_of
from syncline.storage.reader import Reader, Value
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.values.kinds import (
    DICTIONARY_COLLECTION,
    KIND_NAMES,
    LINK,
    LIST_COLLECTION,
    MIXED,
    SET_COLLECTION,
    SINGLE_COLLECTION,
)

__all__ = ["Json", "compact", "content_hash", "dump", "dump_pieces", "value_form"]

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
#: Forms whose content is still missing, and the values that they stand for.
Nested: TypeAlias = "list[tuple[dict[str, Json], ObjectRef | CollectionRef]]"

_PAGE: Final = 256
_MARKS: Final[dict[int, str]] = {
    SINGLE_COLLECTION: "",
    LIST_COLLECTION: "[]",
    SET_COLLECTION: "<>",
    DICTIONARY_COLLECTION: "{}",
}


def dump(reader: Reader) -> dict[str, Json]:
    """The whole content as JSON values."""
    objects: dict[str, Json] = {
        info.name: [form for page in _pages(reader, info) for form in page] for info in _top_level(reader.catalogue)
    }
    return {"objects": objects, "schema": _schema(reader.catalogue)}


def dump_pieces(reader: Reader) -> Iterator[str]:
    """The compact JSON of :func:`dump` with sorted keys, in pieces of a bounded number of objects."""
    yield '{"objects":{'
    for number, info in enumerate(_top_level(reader.catalogue)):
        yield ("," if number else "") + compact(info.name) + ":["
        first = True
        for page in _pages(reader, info):
            yield ("" if first else ",") + ",".join(map(compact, page))
            first = False
        yield "]"
    yield '},"schema":' + compact(_schema(reader.catalogue)) + "}"


def content_hash(reader: Reader) -> str:
    """SHA-256 of :func:`dump_pieces`, in hexadecimal digits."""
    digest = hashlib.sha256()
    for piece in dump_pieces(reader):
        digest.update(piece.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


_encoder: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False)


def compact(form: Json) -> str:
    """The canonical text of a form: compact JSON with sorted keys, however deep it is nested."""
    try:
        return _encoder.encode(form)
    except RecursionError:
        return "".join(_tokens(form))


class _Token(str):
    """A piece of JSON text."""

    __slots__ = ()


def _tokens(form: Json) -> Iterator[str]:
    """The pieces of the compact JSON of a form that is nested too deeply for the encoder."""
    waiting: list[Json | _Token] = [form]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.append(_Token("}"))
            for number, (key, value) in enumerate(sorted(item.items(), reverse=True), 1):
                comma = "," if number < len(item) else ""
                waiting += (value, _Token(f"{comma}{_encoder.encode(key)}:"))
            yield "{"
        elif isinstance(item, list):
            waiting.append(_Token("]"))
            for number, value in enumerate(reversed(item), 1):
                waiting += (value, _Token("," if number < len(item) else ""))
            yield "["
        else:
            yield item if isinstance(item, _Token) else _encoder.encode(item)


# --- schema -----------------------------------------------------------------------------------------------------------


def _top_level(catalogue: Catalogue) -> list[ClassInfo]:
    return [info for name, info in sorted(catalogue.classes.items()) if not info.embedded]


def _schema(catalogue: Catalogue) -> dict[str, Json]:
    return {name: _class_form(info) for name, info in sorted(catalogue.classes.items())}


def _class_form(info: ClassInfo) -> Json:
    key = info.primary_key
    key_form: Json = None
    if key is not None:
        key_form = {"name": key.name, "nullable": key.nullable, "type": KIND_NAMES[key.type].lower()}
    return {
        "embedded": info.embedded,
        "pk": key_form,
        "props": {prop.name: _type_text(prop) for prop in info.properties.values() if not prop.is_primary_key},
    }


def _type_text(prop: PropertyInfo) -> str:
    if prop.type == LINK:
        return f"link:{prop.target}{_MARKS[prop.collection]}"
    if prop.type == MIXED:
        return "mixed" + _MARKS[prop.collection]
    return KIND_NAMES[prop.type].lower() + ("?" if prop.nullable else "") + _MARKS[prop.collection]


# --- objects ----------------------------------------------------------------------------------------------------------


def _pages(reader: Reader, info: ClassInfo) -> Iterator[list[Json]]:
    """The objects of a class in the order of their keys."""
    reader.flush()
    order = "ghi, glo" if info.primary_key is None else f"p{info.primary_key.id}"
    keys: list[int] = [row[0] for row in reader.connection.execute(f"SELECT k FROM {info.table} ORDER BY {order}")]
    for start in range(0, len(keys), _PAGE):
        chunk = keys[start : start + _PAGE]
        rows = reader.rows(info, chunk)
        nested: Nested = []
        page: list[Json] = [
            {"key": key_to_json(reader.key_of(info, k)), "props": _properties(reader, info, k, rows[k], nested)}
            for k in chunk
        ]
        _fill(reader, nested)
        yield page


def value_form(reader: Reader, kind: int, value: Value) -> Json:
    """One value, with all that it owns. ``kind`` is the declared one: it tells a float from a double."""
    nested: Nested = []
    form = _value(reader, kind, value, nested)
    _fill(reader, nested)
    return form


def _fill(reader: Reader, nested: Nested) -> None:
    """Complete the forms of values that have something inside, until nothing is left to do."""
    while nested:
        form, value = nested.pop()
        if isinstance(value, ObjectRef):
            info = reader.catalogue.by_id[value.class_id]
            k = value.object_key
            form.update(_properties(reader, info, k, reader.get_row(info, k), nested))
        else:
            form.update(_collection(reader, MIXED, value, nested))


def _properties(reader: Reader, info: ClassInfo, k: int, row: tuple[Value, ...], nested: Nested) -> dict[str, Json]:
    form: dict[str, Json] = {}
    for prop, value in zip(info.singles, row, strict=True):
        if not prop.is_primary_key:
            form[prop.name] = _value(reader, prop.type, value, nested)
    for prop in info.collections:
        form[prop.name] = _collection(reader, prop.type, reader.collection(info, k, prop), nested)
    return form


def _collection(reader: Reader, kind: int, ref: CollectionRef, nested: Nested) -> dict[str, Json]:
    if ref.kind == LIST_COLLECTION:
        return {"list": [_value(reader, kind, value, nested) for value in reader.list_slice(ref)]}
    if ref.kind == SET_COLLECTION:
        return {"set": sorted((_value(reader, kind, value, nested) for value in reader.set_values(ref)), key=compact)}
    return {"dict": {key: _value(reader, kind, value, nested) for key, value in reader.dict_items(ref)}}


def _value(reader: Reader, kind: int, value: Value, nested: Nested) -> Json:
    """``kind`` is the declared one: it tells a float from a double."""
    if value is None:
        return None
    if isinstance(value, ObjectRef):
        info = reader.catalogue.by_id[value.class_id]
        if not info.embedded:
            return {"link": [info.name, key_to_json(reader.key_of(info, value.object_key))]}
        properties: dict[str, Json] = {}
        nested.append((properties, value))
        return {"obj": properties}
    if isinstance(value, CollectionRef):
        content: dict[str, Json] = {}
        nested.append((content, value))
        return content
    form: Json = payload_to_json(kind if kind != MIXED else kind_of(value), value)
    return form
