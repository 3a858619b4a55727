"""The types that ``@type`` knows, and their names (spec/sdk.md §7.6)."""

from __future__ import annotations

from enum import Flag
from typing import Final
from uuid import UUID

from syncline.values import Decimal128, Float32, ObjectId, Timestamp, kinds

__all__ = ["TypeSet", "name_of_types", "type_of_kind", "type_of_value", "types_named"]


class TypeSet(Flag):
    """A set of types. Two are equal to ``==`` of a query if they intersect."""

    NULL = 1
    INT = 2
    BOOL = 4
    STRING = 8
    BINARY = 16
    DATE = 32
    FLOAT = 64
    DOUBLE = 128
    DECIMAL = 256
    LINK = 512
    OBJECT_ID = 1024
    UUID = 2048
    LIST = 4096
    DICTIONARY = 8192
    NUMERIC = INT | FLOAT | DOUBLE | DECIMAL
    OBJECT = LINK | DICTIONARY
    COLLECTION = LIST | DICTIONARY


_NAMES: Final[dict[str, TypeSet]] = {
    name: types
    for names, types in (
        ("null", TypeSet.NULL),
        ("int integer int16 int32 int64 short long byte char", TypeSet.INT),
        ("bool boolean", TypeSet.BOOL),
        ("string", TypeSet.STRING),
        ("binary data bytearray byte[] bindata", TypeSet.BINARY),
        ("date datetimeoffset timestamp", TypeSet.DATE),
        ("float", TypeSet.FLOAT),
        ("double", TypeSet.DOUBLE),
        ("decimal128 decimal", TypeSet.DECIMAL),
        ("objectlink link", TypeSet.LINK),
        ("objectid", TypeSet.OBJECT_ID),
        ("uuid guid", TypeSet.UUID),
        ("numeric", TypeSet.NUMERIC),
        ("object dictionary", TypeSet.OBJECT),
        ("array list", TypeSet.LIST),
        ("collection", TypeSet.COLLECTION),
    )
    for name in names.split()
}

_KINDS: Final[dict[int, TypeSet]] = {
    kinds.INT: TypeSet.INT,
    kinds.BOOL: TypeSet.BOOL,
    kinds.STRING: TypeSet.STRING,
    kinds.BINARY: TypeSet.BINARY,
    kinds.TIMESTAMP: TypeSet.DATE,
    kinds.FLOAT: TypeSet.FLOAT,
    kinds.DOUBLE: TypeSet.DOUBLE,
    kinds.DECIMAL: TypeSet.DECIMAL,
    kinds.LINK: TypeSet.LINK,
    kinds.OBJECT_ID: TypeSet.OBJECT_ID,
    kinds.UUID: TypeSet.UUID,
}

_TYPES: Final[tuple[tuple[type, TypeSet], ...]] = (
    (bool, TypeSet.BOOL),
    (int, TypeSet.INT),
    (Float32, TypeSet.FLOAT),
    (float, TypeSet.DOUBLE),
    (str, TypeSet.STRING),
    (bytes, TypeSet.BINARY),
    (Timestamp, TypeSet.DATE),
    (Decimal128, TypeSet.DECIMAL),
    (ObjectId, TypeSet.OBJECT_ID),
    (UUID, TypeSet.UUID),
    (list, TypeSet.LIST),
    (dict, TypeSet.DICTIONARY),
)


def types_named(name: str) -> TypeSet | None:
    """The types of that name in any case, None if there is no such name."""
    return _NAMES.get(name.lower())


def type_of_kind(kind: int) -> TypeSet:
    """The type of a property that is not Mixed, by its number in ``values.kinds``."""
    return _KINDS[kind]


def type_of_value(value: object) -> TypeSet:
    """The run-time type of a stored value."""
    if value is None:
        return TypeSet.NULL
    return next((found for types, found in _TYPES if isinstance(value, types)), TypeSet.LINK)


def name_of_types(types: TypeSet) -> str:
    """A name of that set of types, as :func:`types_named` reads it."""
    return next(name for name, known in _NAMES.items() if known == types)
