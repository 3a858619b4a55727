"""The canonical dump of a Realm and its content hash (tests/vectors/README.md, fixtures.json).

``{"schema": {class: {embedded, pk, props}}, "objects": {class: [{key, props}]}}``: classes, objects, dictionary keys
and sets sorted; links to tombstones hidden. Equal content gives equal bytes, whatever the order things happened in. The
reader is used directly: hold its snapshot's lock meanwhile.
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

__all__ = ["Json", "content_hash", "dump", "dump_pieces", "value_form"]

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

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
        yield ("," if number else "") + _compact(info.name) + ":["
        first = True
        for page in _pages(reader, info):
            yield ("" if first else ",") + ",".join(map(_compact, page))
            first = False
        yield "]"
    yield '},"schema":' + _compact(_schema(reader.catalogue)) + "}"


def content_hash(reader: Reader) -> str:
    """SHA-256 of :func:`dump_pieces`, in hexadecimal digits."""
    digest = hashlib.sha256()
    for piece in dump_pieces(reader):
        digest.update(piece.encode())
    return digest.hexdigest()


_encoder: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), check_circular=False)


def _compact(form: Json) -> str:
    return _encoder.encode(form)


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
        yield [
            {"key": key_to_json(reader.key_of(info, k)), "props": _properties(reader, info, k, rows[k])} for k in chunk
        ]


def _properties(reader: Reader, info: ClassInfo, k: int, row: tuple[Value, ...]) -> dict[str, Json]:
    form: dict[str, Json] = {}
    for prop, value in zip(info.singles, row, strict=True):
        if not prop.is_primary_key:
            form[prop.name] = value_form(reader, prop.type, value)
    for prop in info.collections:
        form[prop.name] = _collection(reader, prop.type, reader.collection(info, k, prop))
    return form


def _collection(reader: Reader, kind: int, ref: CollectionRef) -> Json:
    if ref.kind == LIST_COLLECTION:
        return {"list": [value_form(reader, kind, value) for value in reader.list_slice(ref)]}
    if ref.kind == SET_COLLECTION:
        return {"set": sorted((value_form(reader, kind, value) for value in reader.set_values(ref)), key=_compact)}
    return {"dict": {key: value_form(reader, kind, value) for key, value in reader.dict_items(ref)}}


def value_form(reader: Reader, kind: int, value: Value) -> Json:
    """One value, with all that it owns. ``kind`` is the declared one: it tells a float from a double."""
    if value is None:
        return None
    if isinstance(value, ObjectRef):
        info = reader.catalogue.by_id[value.class_id]
        k = value.object_key
        if info.embedded:
            return {"obj": _properties(reader, info, k, reader.get_row(info, k))}
        return {"link": [info.name, key_to_json(reader.key_of(info, k))]}
    if isinstance(value, CollectionRef):
        return _collection(reader, MIXED, value)
    form: Json = payload_to_json(kind if kind != MIXED else kind_of(value), value)
    return form
