"""Single-precision floats."""

import math
import pickle
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.values import Float32


def test_rounds_to_single_precision() -> None:
    assert Float32(0.1) == 0.10000000149011612
    assert Float32(0.1) != 0.1
    assert Float32(16777217) == 16777216.0
    assert Float32("2.5") == 2.5


def test_too_large_becomes_infinite() -> None:
    assert Float32(1e39) == math.inf
    assert Float32(-1e39) == -math.inf
    assert math.isnan(Float32(math.nan))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "Float32(0.1)"),
        (1.5, "Float32(1.5)"),
        (1e-45, "Float32(1e-45)"),
        (3.4028234663852886e38, "Float32(3.4028235e+38)"),
        (-0.0, "Float32(-0.0)"),
        (math.inf, "Float32(inf)"),
        (math.nan, "Float32(nan)"),
    ],
)
def test_shows_the_shortest_text(value: float, text: str) -> None:
    assert repr(Float32(value)) == text


def test_is_a_float_and_arithmetic_gives_floats() -> None:
    assert isinstance(Float32(1), float)
    assert type(Float32(1) + 1) is float


def test_pickles() -> None:
    again = pickle.loads(pickle.dumps(Float32(0.1)))
    assert type(again) is Float32
    assert again == Float32(0.1)


@given(st.floats(width=32, allow_nan=False))
def test_singles_stay_and_read_back(value: float) -> None:
    single = Float32(value)
    assert struct.pack("<f", single) == struct.pack("<f", value)
    assert Float32(str(single)) == single
