"""Values ↔ cells: what Python value stands for what SQL values (spec/sdk.md §13.3; :mod:`syncline.storage.layout`).

Encoding checks: a value that does not fit its property raises TypeMismatchError or LimitExceededError. The *kind* of a
value (a number of ``values.kinds``) comes from its Python type (:func:`kind_of`) or from a payload; the link of a cell
is the target's object key, negative for a tombstone (−1 − its number).
"""

from __future__ import annotations

from struct import Struct
from typing import Final, TypeAlias, cast
from uuid import UUID as Uuid

from syncline.errors import LimitExceededError, PropertyNotNullableError, TypeMismatchError
from syncline.storage.catalogue import TYPE_CODES, PropertyInfo
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.values import Decimal128, Float32, GlobalKey, Key, ObjectId, Timestamp
from syncline.values.kinds import (
    BINARY,
    BOOL,
    DECIMAL,
    DICTIONARY_COLLECTION,
    DOUBLE,
    FLOAT,
    GLOBAL_KEY,
    INT,
    KIND_NAMES,
    LINK,
    LIST,
    LIST_COLLECTION,
    MIXED,
    NULL,
    OBJECT_ID,
    STRING,
    TIMESTAMP,
    UUID,
)
from syncline.values.order import link_sort_key, sort_key

__all__ = [
    "DICTIONARY_TAG",
    "INT_TAG",
    "LINK_TAG",
    "LIST_TAG",
    "NULL_CELL",
    "Cell",
    "Row",
    "Value",
    "cell_sort_key",
    "check_key",
    "collection_cell",
    "decode",
    "decode_scalar",
    "default_cell",
    "encode",
    "encode_scalar",
    "key_from_columns",
    "key_to_columns",
    "kind_of",
    "link_cell",
    "mismatch",
    "text_from_sql",
    "text_to_sql",
]

#: A value as the application sees it (:mod:`syncline.storage.reader`).
Value: TypeAlias = (
    "int | bool | str | bytes | Timestamp | float | Decimal128 | ObjectId | Uuid | ObjectRef | CollectionRef | None"
)
#: A value as SQLite has it.
SqlValue: TypeAlias = "int | float | str | bytes | None"
#: The SQL values of one value, in the order of its columns.
Cell: TypeAlias = "tuple[SqlValue, ...]"
#: The SQL values of one object, in the order of ``ClassInfo.columns``.
Row: TypeAlias = "list[SqlValue]"

INT_MIN: Final = -(1 << 63)
INT_MAX: Final = (1 << 63) - 1
MAX_STRING_SIZE: Final = 16_777_199
MAX_BINARY_SIZE: Final = 16_777_200

#: Tags of Mixed cells beside the type codes of spec/sdk.md §1.1.
LIST_TAG: Final = 20
DICTIONARY_TAG: Final = 21
INT_TAG: Final = 0
_FLOAT_TAG: Final = 5
LINK_TAG: Final = 7
_KINDS_BY_TAG: Final[dict[int, int]] = {code: kind for kind, code in TYPE_CODES.items() if kind != MIXED}

_NULL_KEY: Final = sort_key(None)
#: Null in a Mixed place.
NULL_CELL: Final[Cell] = (None, None, _NULL_KEY, None)

_DOUBLE: Final = Struct(">d")
_ZERO_TIME: Final = Timestamp(0, 0).to_bytes()
_ZERO_DECIMAL: Final = Decimal128(0)

_KINDS_BY_TYPE: Final[dict[type, int]] = {
    type(None): NULL,
    bool: BOOL,
    int: INT,
    str: STRING,
    bytes: BINARY,
    Timestamp: TIMESTAMP,
    Float32: FLOAT,
    float: DOUBLE,
    Decimal128: DECIMAL,
    ObjectRef: LINK,
    ObjectId: OBJECT_ID,
    Uuid: UUID,
}


def kind_of(value: object) -> int:
    """The kind of a value by its Python type. Raises TypeMismatchError for what no Realm can store."""
    kind = _KINDS_BY_TYPE.get(type(value))
    if kind is not None:
        return kind
    for base, candidate in _KINDS_BY_TYPE.items():
        if isinstance(value, base):
            return candidate
    raise TypeMismatchError(f"a {type(value).__name__} cannot be stored in a Realm")


# --- encoding ---------------------------------------------------------------------------------------------------------


def text_to_sql(text: str) -> str | bytes:
    """A string as TEXT, or as BLOB where surrogates stand for bytes that are not UTF-8, also together.

    Raises LimitExceededError.
    """
    if text.isascii():
        if len(text) > MAX_STRING_SIZE:
            raise LimitExceededError(f"a string of {len(text)} bytes, more than {MAX_STRING_SIZE}")
        return text
    try:
        size = len(text.encode())
        result: str | bytes = text
    except UnicodeEncodeError:
        try:
            raw = text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise LimitExceededError(f"a string with a lone surrogate cannot be stored: {text[:40]!r}") from None
        size = len(raw)
        try:
            result = raw.decode()
        except UnicodeDecodeError:
            result = raw
    if size > MAX_STRING_SIZE:
        raise LimitExceededError(f"a string of {size} bytes, more than {MAX_STRING_SIZE}")
    return result


def encode_scalar(kind: int, value: object) -> SqlValue:
    """The SQL value of a scalar of that kind, whose Python type is known to be right. Raises LimitExceededError."""
    if kind == INT:
        number = cast(int, value)
        if not INT_MIN <= number <= INT_MAX:
            raise LimitExceededError(f"{number} does not fit into 64 bits")
        return int(number)
    if kind == STRING:
        return text_to_sql(cast(str, value))
    if kind == DOUBLE:
        double = cast(float, value)
        return double if double == double else _DOUBLE.pack(double)
    if kind == BOOL:
        return 1 if value else 0
    if kind == TIMESTAMP:
        return _encode_timestamp(cast(Timestamp, value))
    if kind == BINARY:
        data = cast(bytes, value)
        if len(data) > MAX_BINARY_SIZE:
            raise LimitExceededError(f"{len(data)} bytes of binary data, more than {MAX_BINARY_SIZE}")
        return data
    if kind == FLOAT:
        return _encode_float(cast(float, value))
    if kind == OBJECT_ID:
        return cast(ObjectId, value).binary
    if kind == UUID:
        return cast(Uuid, value).bytes
    raise TypeMismatchError(f"a {KIND_NAMES.get(kind, str(kind))} is no single value")


def _encode_timestamp(value: Timestamp) -> bytes:
    seconds, nanoseconds = value
    if (
        not INT_MIN <= seconds <= INT_MAX
        or not -1_000_000_000 < nanoseconds < 1_000_000_000
        or (seconds < 0 < nanoseconds)
        or (nanoseconds < 0 < seconds)
    ):
        raise LimitExceededError(f"{value} is no timestamp: both parts have one sign, |nanoseconds| < 10**9")
    try:
        return value.to_bytes()
    except OverflowError:
        raise LimitExceededError("a timestamp of more than 2**63 seconds before 1970 is out of range") from None


def _encode_float(value: float) -> SqlValue:
    single = float(Float32(value))
    return single if single == single else _DOUBLE.pack(single)


def encode(prop: PropertyInfo, kind: int, value: object) -> Cell:
    """The cell of a scalar or null in a property (or as an element of its collection).

    Raises TypeMismatchError if the property cannot hold the kind, LimitExceededError if the value is out of range.
    Links and collections have their own cells: :func:`link_cell`, :func:`collection_cell`.
    """
    if prop.type == MIXED:
        return _mixed_cell(kind, value)
    if kind == NULL:
        if not prop.nullable:
            raise PropertyNotNullableError(f"property {prop.name!r} must not be null")
        return (None, _NULL_KEY) if prop.type == DECIMAL else (None,)
    if kind != prop.type or kind == LINK:
        raise mismatch(prop, kind)
    if kind == DECIMAL:
        decimal = cast(Decimal128, value)
        return (decimal.to_bytes(), sort_key(decimal))
    return (encode_scalar(kind, value),)


def mismatch(prop: PropertyInfo, kind: int) -> TypeMismatchError:
    """The error of a value of the wrong kind."""
    return TypeMismatchError(
        f"property {prop.name!r} holds {KIND_NAMES[prop.type] if prop.type else 'mixed'} values, not {KIND_NAMES[kind]}"
    )


def _mixed_cell(kind: int, value: object) -> Cell:
    if kind == NULL:
        return NULL_CELL
    if kind == DECIMAL:
        decimal = cast(Decimal128, value)
        return (TYPE_CODES[DECIMAL], decimal.to_bytes(), sort_key(decimal), None)
    raw = encode_scalar(kind, value)
    return (TYPE_CODES[kind], raw, sort_key(value), None)


def link_cell(prop: PropertyInfo, class_id: int, k: int) -> Cell:
    """The cell of a link to the object (or, negative, tombstone) ``k``."""
    if prop.type == MIXED:
        return (LINK_TAG, k, link_sort_key(class_id, k), class_id)
    return (k,)


def collection_cell(kind: int, node: int) -> Cell:
    """The cell of a Mixed that holds the list or dictionary (a LIST or DICTIONARY payload) with that node number."""
    if kind == LIST:
        return (LIST_TAG, node, sort_key([]), None)
    return (DICTIONARY_TAG, node, sort_key({}), None)


def default_cell(prop: PropertyInfo) -> Cell:
    """What a single property holds before anything is assigned (spec/sdk.md §1.3): null or the type's zero."""
    if prop.type == MIXED:
        return NULL_CELL
    if prop.type == DECIMAL:
        if prop.nullable:
            return (None, _NULL_KEY)
        return (_ZERO_DECIMAL.to_bytes(), sort_key(_ZERO_DECIMAL))
    if prop.nullable or prop.type == LINK:
        return (None,)
    return (_ZEROS[prop.type],)


_ZEROS: Final[dict[int, SqlValue]] = {
    INT: 0,
    BOOL: 0,
    STRING: "",
    BINARY: b"",
    TIMESTAMP: _ZERO_TIME,
    FLOAT: 0.0,
    DOUBLE: 0.0,
    OBJECT_ID: bytes(12),
    UUID: bytes(16),
}


# --- decoding ---------------------------------------------------------------------------------------------------------


def text_from_sql(raw: SqlValue) -> str:
    """The string that :func:`text_to_sql` stored."""
    if isinstance(raw, str):
        return raw
    return cast(bytes, raw).decode("utf-8", "surrogateescape")


def decode_scalar(kind: int, raw: SqlValue) -> Value:
    """The Python value of a scalar that is not null."""
    if kind == INT:
        return cast(int, raw)
    if kind == STRING:
        return text_from_sql(raw)
    if kind in (DOUBLE, FLOAT):
        if isinstance(raw, float):
            return raw
        nan: float = _DOUBLE.unpack(cast(bytes, raw))[0]
        return nan
    if kind == BOOL:
        return raw != 0
    if kind == TIMESTAMP:
        return Timestamp.from_bytes(cast(bytes, raw))
    if kind == BINARY:
        return cast(bytes, raw)
    if kind == OBJECT_ID:
        return ObjectId(cast(bytes, raw))
    if kind == UUID:
        return Uuid(bytes=cast(bytes, raw))
    return Decimal128.from_bytes(cast(bytes, raw))


def decode(prop: PropertyInfo, cell: Cell) -> Value:
    """The value of a cell; a link to a tombstone is None."""
    if prop.type == MIXED:
        return _decode_mixed(cell)
    raw = cell[0]
    if raw is None:
        return None
    if prop.type == LINK:
        k = cast(int, raw)
        return ObjectRef(prop.target_id, k) if k >= 0 else None
    return decode_scalar(prop.type, raw)


def _decode_mixed(cell: Cell) -> Value:
    tag = cell[0]
    if tag is None:
        return None
    code = cast(int, tag)
    raw = cell[1]
    if code == LINK_TAG:
        k = cast(int, raw)
        return ObjectRef(cast(int, cell[3]), k) if k >= 0 else None
    if code == LIST_TAG:
        return CollectionRef(LIST_COLLECTION, 0, cast(int, raw))
    if code == DICTIONARY_TAG:
        return CollectionRef(DICTIONARY_COLLECTION, 0, cast(int, raw))
    if code == _FLOAT_TAG:
        return Float32(cast(float, decode_scalar(FLOAT, raw)))
    return decode_scalar(_KINDS_BY_TAG[code], raw)


def cell_sort_key(prop: PropertyInfo, cell: Cell) -> bytes:
    """The sort key of a cell: the key of a set's member."""
    if prop.type == MIXED:
        return cast(bytes, cell[2])
    if prop.type == DECIMAL:
        return cast(bytes, cell[1])
    raw = cell[0]
    if raw is None:
        return _NULL_KEY
    if prop.type == LINK:
        return link_sort_key(prop.target_id, cast(int, raw))
    return sort_key(decode_scalar(prop.type, raw))


# --- keys -------------------------------------------------------------------------------------------------------------

_KEY_TYPES: Final[dict[int, type]] = {INT: int, STRING: str, OBJECT_ID: ObjectId, UUID: Uuid, GLOBAL_KEY: GlobalKey}
#: Largest halves of a GlobalKey that every peer can represent (spec/changesets.md §8.2).
MAX_KEY_HI: Final = 0x3FFF_FFFF
MAX_KEY_LO: Final = 0xFFFF_FFFF


def check_key(class_name: str, key_prop: PropertyInfo | None, key: Key) -> None:
    """Whether ``key`` can be the key of an object (spec/changesets.md §10.2 step 2).

    Raises TypeMismatchError or LimitExceededError.
    """
    if key_prop is None:
        if not isinstance(key, GlobalKey):
            raise TypeMismatchError(
                f"objects of class {class_name!r} have no primary key, but a {type(key).__name__} was given"
            )
        if not (0 <= key.hi <= MAX_KEY_HI and 0 <= key.lo <= MAX_KEY_LO):
            raise LimitExceededError(f"{key} is out of range")
        return
    if key is None:
        if not key_prop.nullable:
            raise TypeMismatchError(f"the primary key of class {class_name!r} must not be null")
        return
    if not isinstance(key, _KEY_TYPES[key_prop.type]) or isinstance(key, bool):
        raise TypeMismatchError(
            f"the primary key of class {class_name!r} is of type {KIND_NAMES[key_prop.type]}, not {type(key).__name__}"
        )
    if key_prop.type == INT and not INT_MIN <= cast(int, key) <= INT_MAX:
        raise LimitExceededError(f"primary key {key} does not fit into 64 bits")


def key_to_columns(key: Key) -> tuple[SqlValue, ...]:
    """The SQL values of a checked key: one, or two for a GlobalKey."""
    if isinstance(key, int):
        return (key,)
    if isinstance(key, str):
        return (text_to_sql(key),)
    if key is None:
        return (None,)
    if isinstance(key, ObjectId):
        return (key.binary,)
    if isinstance(key, GlobalKey):
        return (key.hi, key.lo)
    return (key.bytes,)


def key_from_columns(key_prop: PropertyInfo | None, columns: Cell) -> Key:
    """The key that :func:`key_to_columns` stored."""
    if key_prop is None:
        return GlobalKey(cast(int, columns[0]), cast(int, columns[1]))
    raw = columns[0]
    if raw is None:
        return None
    return cast(Key, decode_scalar(key_prop.type, raw))
