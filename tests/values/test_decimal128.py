"""Decimals of 128 bits: bit patterns, text, equality by number."""

import copy
import pickle
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.values import Decimal128

PATTERNS = [
    ("1.50", "303c0000000000000000000000000096"),
    ("0", "30400000000000000000000000000000"),
    ("-0", "b0400000000000000000000000000000"),
    ("1E2", "30440000000000000000000000000001"),
    ("1E-6176", "00000000000000000000000000000001"),
    ("9.999999999999999999999999999999999E6144", "5fffed09bead87c0378d8e63ffffffff"),
    ("1234567890123456789012345678901234", "30403cde6fff9732de825cd07e96aff2"),
    ("Infinity", "78000000000000000000000000000000"),
    ("-Infinity", "f8000000000000000000000000000000"),
    ("NaN", "7c000000000000000000000000000000"),
]


@pytest.mark.parametrize(("text", "bid"), PATTERNS)
def test_text_and_bits(text: str, bid: str) -> None:
    value = Decimal128.from_text(text)
    assert value.to_bytes().hex() == bid
    assert Decimal128.from_bytes(bytes.fromhex(bid)) == value
    assert Decimal128.from_bid(*value.to_bid()).to_bytes().hex() == bid


@pytest.mark.parametrize(
    ("text", "coefficient", "exponent", "negative"),
    [
        ("10.50", 1050, -2, False),
        ("-1.5", 15, -1, True),
        ("64", 64, 0, False),
        ("-0", 0, 0, True),
        ("1E-6176", 1, -6176, False),
        ("Infinity", 0, 9184, False),
        ("NaN", 0, 9696, False),
    ],
)
def test_parts(text: str, coefficient: int, exponent: int, negative: bool) -> None:
    value = Decimal128.from_text(text)
    assert (value.coefficient, value.exponent, value.negative) == (coefficient, exponent, negative)


def test_trailing_zeros_are_kept_but_do_not_count() -> None:
    short, long = Decimal128.from_text("10.5"), Decimal128.from_text("10.50")
    assert short == long
    assert hash(short) == hash(long)
    assert short.to_bytes() != long.to_bytes()
    assert str(long) == "10.50"


def test_zeros_and_nans_are_equal_to_their_like() -> None:
    assert Decimal128.from_text("0") == Decimal128.from_text("-0.000")
    nan = Decimal128.from_text("NaN")
    assert nan == Decimal128(7, 9696) == Decimal128.from_text("-NaN")
    assert hash(nan) == hash(Decimal128(7, 9696))
    assert nan != Decimal128.from_text("1")


def test_order() -> None:
    texts = ["NaN", "-Infinity", "-1E6144", "-1.5", "-1E-6176", "0", "1E-6176", "1.49", "1.50", "2", "Infinity"]
    values = [Decimal128.from_text(text) for text in texts]
    assert sorted(values[5:] + values[:5]) == values
    assert values[3] <= values[3]
    assert values[4] > values[3]


def test_rounding_is_half_to_even_at_34_digits() -> None:
    assert Decimal128.from_decimal(Decimal("1" * 34 + "5")).coefficient == int("1" * 33 + "2")
    assert Decimal128.from_decimal(Decimal("1" * 33 + "25")).coefficient == int("1" * 33 + "2")
    assert Decimal128.from_decimal(Decimal("1E-6177")).coefficient == 0


@pytest.mark.parametrize("text", ["1E6145", "-9" + "9" * 34 + "E6111"])
def test_too_large(text: str) -> None:
    with pytest.raises(ValueError, match="too large"):
        Decimal128.from_decimal(Decimal(text))


@pytest.mark.parametrize("text", ["", "abc", "1,5", "0x10", "1E6145"])
def test_text_that_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="128-bit decimal"):
        Decimal128.from_text(text)


def test_parts_out_of_range() -> None:
    with pytest.raises(ValueError, match="113 bits"):
        Decimal128(1 << 113)
    with pytest.raises(ValueError, match="113 bits"):
        Decimal128(-1)
    with pytest.raises(ValueError, match="14 bits"):
        Decimal128(1, -6177)
    with pytest.raises(ValueError, match="14 bits"):
        Decimal128(1, 10208)
    with pytest.raises(ValueError, match="16 bytes"):
        Decimal128.from_bytes(b"123")


def test_patterns_that_ieee_does_not_allow_count_as_zero() -> None:
    assert Decimal128(10**34) == Decimal128(0)
    assert Decimal128(5, 6112).to_decimal() == 0


def test_the_null_pattern() -> None:
    null = Decimal128.from_bid(0x7C00_0000_0000_0000, 0xAA)
    assert null.is_null()
    assert null.is_nan()
    assert not Decimal128.from_text("NaN").is_null()
    assert not Decimal128(0xAA).is_null()


def test_copies() -> None:
    value = Decimal128.from_text("-1.50")
    assert pickle.loads(pickle.dumps(value)).to_bytes() == value.to_bytes()
    assert copy.deepcopy(value).to_bytes() == value.to_bytes()
    assert repr(value) == "Decimal128('-1.50')"


def test_is_no_other_type() -> None:
    assert Decimal128(1) != 1
    with pytest.raises(TypeError):
        assert Decimal128(1) < 2


@given(st.integers(0, 10**34 - 1), st.integers(-6176, 6111), st.booleans())
def test_finite_numbers_survive_every_form(coefficient: int, exponent: int, negative: bool) -> None:
    value = Decimal128(coefficient, exponent, negative)
    bits = value.to_bytes()
    assert Decimal128.from_bytes(bits).to_bytes() == bits
    assert Decimal128.from_decimal(value.to_decimal()).to_bytes() == bits
    assert Decimal128.from_text(str(value)).to_bytes() == bits


@given(st.binary(min_size=16, max_size=16))
def test_every_bit_pattern_is_a_value(bits: bytes) -> None:
    value = Decimal128.from_bytes(bits)
    assert value.to_bytes() == bits
    assert value == Decimal128.from_bytes(bits)
    assert isinstance(hash(value), int)
    assert isinstance(str(value), str)
