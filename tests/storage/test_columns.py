"""Values ↔ cells (storage/columns.py)."""

from __future__ import annotations

import math
from uuid import UUID as Uuid

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.errors import LimitExceededError, TypeMismatchError
from syncline.storage.catalogue import PropertyInfo
from syncline.storage.columns import (
    Value,
    cell_sort_key,
    check_key,
    decode,
    default_cell,
    encode,
    key_from_columns,
    key_to_columns,
    kind_of,
    link_cell,
)
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.values import Decimal128, Float32, GlobalKey, Key, ObjectId, Timestamp
from syncline.values.kinds import BOOL, DECIMAL, DOUBLE, FLOAT, INT, LINK, MIXED, OBJECT_ID, STRING, TIMESTAMP, UUID
from syncline.values.order import sort_key

INTS = st.integers(-(1 << 63), (1 << 63) - 1)
TEXTS = st.text(st.characters(exclude_categories=())).map(
    lambda text: text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")
)
TIMES = st.builds(Timestamp.normalised, st.integers(-(1 << 62), 1 << 62), st.integers(0, 999_999_999))
DECIMALS = st.builds(Decimal128, st.integers(0, 10**34 - 1), st.integers(-6176, 6111), st.booleans())
VALUES: st.SearchStrategy[Value] = st.one_of(
    st.none(),
    st.booleans(),
    INTS,
    TEXTS,
    st.binary(),
    TIMES,
    st.floats(),
    st.floats(width=32).map(Float32),
    DECIMALS,
    st.binary(min_size=12, max_size=12).map(ObjectId),
    st.uuids(),
)


def prop(kind: int, nullable: bool = True) -> PropertyInfo:
    return PropertyInfo(1, 1, "p", kind, nullable, target_id=3 if kind == LINK else 0)


def through_sqlite(cell: tuple[object, ...]) -> tuple[object, ...]:
    connection = apsw.Connection(":memory:")
    row = connection.execute(f"SELECT {', '.join('?' * len(cell))}", cell).fetchone()
    assert row is not None
    return tuple(row)


def same(left: object, right: object) -> bool:
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right) and type(left) is type(right)
    if isinstance(left, Decimal128) and isinstance(right, Decimal128):
        return left.to_bid() == right.to_bid()
    return left == right and type(left) is type(right) and str(left) == str(right)


@given(VALUES)
def test_mixed_values_come_back(value: Value) -> None:
    cell = encode(prop(MIXED), kind_of(value), value)
    assert same(decode(prop(MIXED), through_sqlite(cell)), value)  # type: ignore[arg-type]
    assert cell_sort_key(prop(MIXED), cell) == sort_key(value)


@given(VALUES)
def test_typed_values_come_back(value: Value) -> None:
    kind = kind_of(value)
    typed = prop(kind or INT)
    cell = encode(typed, kind, value)
    read = decode(typed, through_sqlite(cell))  # type: ignore[arg-type]
    assert same(read, float(value) if isinstance(value, Float32) else value)
    assert cell_sort_key(typed, cell) == sort_key(value)


@given(VALUES, st.sampled_from([INT, BOOL, STRING, TIMESTAMP, FLOAT, DOUBLE, DECIMAL, OBJECT_ID, UUID]))
def test_other_types_are_refused(value: Value, kind: int) -> None:
    if kind_of(value) != kind:
        with pytest.raises(TypeMismatchError):
            encode(prop(kind, nullable=False), kind_of(value), value)


@pytest.mark.parametrize("kind", [INT, BOOL, STRING, 4, TIMESTAMP, FLOAT, DOUBLE, DECIMAL, OBJECT_ID, UUID])
def test_defaults(kind: int) -> None:
    assert decode(prop(kind), default_cell(prop(kind))) is None
    zero = decode(prop(kind, False), default_cell(prop(kind, False)))
    assert kind_of(zero) == (DOUBLE if kind == FLOAT else kind)
    assert not zero or zero in (Timestamp(0, 0), ObjectId(bytes(12)), Uuid(int=0), Decimal128(0))


def test_links() -> None:
    assert decode(prop(LINK), link_cell(prop(LINK), 3, 8)) == ObjectRef(3, 8)
    assert decode(prop(LINK), link_cell(prop(LINK), 3, -8)) is None
    assert decode(prop(MIXED), link_cell(prop(MIXED), 5, 8)) == ObjectRef(5, 8)
    assert decode(prop(MIXED), link_cell(prop(MIXED), 5, -8)) is None


@pytest.mark.parametrize("value", [[], {}, object(), CollectionRef(1, 0, 1), 1j, bytearray(b"x")])
def test_what_no_realm_stores(value: object) -> None:
    with pytest.raises(TypeMismatchError):
        kind_of(value)


@given(st.one_of(INTS, TEXTS, st.binary(min_size=12, max_size=12).map(ObjectId), st.uuids(), st.none()))
def test_keys_come_back(key: Key) -> None:
    info = prop(kind_of(key) or INT)
    check_key("C", info, key)
    assert key_from_columns(info, through_sqlite(key_to_columns(key))) == key  # type: ignore[arg-type]


@given(st.integers(0, 0x3FFF_FFFF), st.integers(0, 0xFFFF_FFFF))
def test_global_keys_come_back(hi: int, lo: int) -> None:
    check_key("C", None, GlobalKey(hi, lo))
    assert key_from_columns(None, key_to_columns(GlobalKey(hi, lo))) == GlobalKey(hi, lo)


@pytest.mark.parametrize(
    ("info", "key", "error"),
    [
        (prop(INT), True, TypeMismatchError),
        (prop(INT), "x", TypeMismatchError),
        (prop(INT), GlobalKey(1, 1), TypeMismatchError),
        (prop(INT), 1 << 63, LimitExceededError),
        (prop(STRING, False), None, TypeMismatchError),
        (None, None, TypeMismatchError),
        (None, 3, TypeMismatchError),
        (None, GlobalKey(-1, 0), LimitExceededError),
    ],
)
def test_keys_that_do_not_fit(info: PropertyInfo | None, key: Key, error: type[Exception]) -> None:
    with pytest.raises(error):
        check_key("C", info, key)


@pytest.mark.parametrize(
    ("text", "stored"), [("\udcc3\udca9", "é"), ("a\udcf0\udc9f\udc98\udc80", "a😀"), ("é\udcff", b"\xc3\xa9\xff")]
)
def test_bytes_that_are_a_character_together_are_text(text: str, stored: object) -> None:
    """Otherwise the string would read as one that no query finds it by."""
    assert encode(prop(STRING), STRING, text) == (stored,)
    assert key_to_columns(text) == (stored,)
