"""The order of values of all kinds, and the byte strings that sort like it (spec/sdk.md §1.11.1, §13.3)."""

import math
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.values import Decimal128, Float32, GlobalKey, Link, ObjectId, Timestamp
from syncline.values.order import compare, equal, link_sort_key, sort_key

EXAMPLES = [
    (None, "00"),
    (False, "01 00"),
    (True, "01 01"),
    (1, "02 04 80 01 0B 00"),
    (1.0, "02 04 80 01 0B 00"),
    (Decimal128.from_text("1.00"), "02 04 80 01 0B 00"),
    (100, "02 04 80 03 0B 00"),
    (12.5, "02 04 80 02 0D 33 00"),
    (-1, "02 02 7F FE F4 FF"),
    (0, "02 03"),
    (-0.0, "02 03"),
    (math.nan, "02 00"),
    (Decimal128.from_text("NaN"), "02 00"),
    (-math.inf, "02 01"),
    (Decimal128.from_text("Infinity"), "02 05"),
    ("ab", "03 61 62 00 00"),
    ("a\0", "03 61 00 FF 00 00"),
    (Timestamp(0, 0), "05 80 00 00 00 00 00 00 00 00 00 00 00"),
    (Timestamp(-1, -1), "05 7F FF FF FF FF FF FF FE 3B 9A C9 FF"),
]


@pytest.mark.parametrize(("value", "key"), EXAMPLES)
def test_examples_of_the_specification(value: object, key: str) -> None:
    assert sort_key(value) == bytes.fromhex(key)


ASCENDING = [
    None,
    False,
    True,
    math.nan,
    -math.inf,
    -(2**63),
    -1.5,
    Float32(-0.1),
    0,
    5e-324,
    Decimal128.from_text("0.1"),
    0.1,  # a little more than a tenth
    Float32(0.1),
    1,
    2**53,
    2**53 + 1,
    float(2**53 + 2),
    2**63 - 1,
    float(2**63),
    Decimal128.from_text("1E6144"),
    math.inf,
    "",
    "\0",
    "a",
    "a\0",
    "a\0b",
    "aa",
    "é",
    "😀",
    b"",
    b"\0",
    b"\0\0",
    b"\xff",
    Timestamp(-1, -1),
    Timestamp(0, 0),
    Timestamp(0, 1),
    ObjectId(bytes(12)),
    ObjectId(b"\xff" * 12),
    UUID(int=0),
    UUID(int=1),
    Link("A", 1),
    Link("A", 2),
    Link("A", "x"),
    Link("A", GlobalKey(1, 2)),
    Link("AA", 1),
    [],
    {},
]


def test_everything_has_its_place() -> None:
    keys = [sort_key(value) for value in ASCENDING]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
    assert [compare(a, b) for a, b in pairwise(ASCENDING)] == [-1] * (len(keys) - 1)


def test_numbers_are_equal_across_types() -> None:
    for one in (1, 1.0, Float32(1), Decimal128.from_text("1.0")):
        for other in (1, 1.0, Float32(1), Decimal128.from_text("1.0")):
            assert equal(one, other)
    assert equal(0.0, -0.0)
    assert equal(math.nan, math.nan)
    assert not equal(1, True)
    assert not equal("1", 1)
    assert not equal(b"1", "1")
    assert not equal(None, 0)


def test_collections_are_equal_whatever_they_hold() -> None:
    assert equal([1], [2])
    assert equal({"a": 1}, {})
    assert not equal([], {})


def test_stored_links_sort_by_class_and_key() -> None:
    keys = [link_sort_key(*pair) for pair in [(1, -2), (1, -1), (1, 0), (1, 300), (2, 0)]]
    assert keys == sorted(keys)
    assert sort_key(UUID(int=2**128 - 1)) < keys[0] < sort_key([])


def test_what_has_no_place() -> None:
    with pytest.raises(TypeError, match="set has no place"):
        sort_key({1})


numbers = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(Float32),
    st.builds(Decimal128, st.integers(0, 10**34 - 1), st.integers(-40, 40), st.booleans()),
)


def exact(value: object) -> Fraction:
    return Fraction(value.to_decimal() if isinstance(value, Decimal128) else Decimal(value))  # type: ignore[arg-type]


@given(numbers, numbers)
def test_numbers_sort_by_their_exact_value(one: object, other: object) -> None:
    left, right = exact(one), exact(other)
    assert compare(one, other) == (left > right) - (left < right)


@given(st.text(), st.text())
def test_strings_sort_by_their_bytes(one: str, other: str) -> None:
    left, right = one.encode(), other.encode()
    assert compare(one, other) == (left > right) - (left < right)


@given(st.binary(), st.binary())
def test_binaries_sort_by_their_bytes(one: bytes, other: bytes) -> None:
    assert compare(one, other) == (one > other) - (one < other)
