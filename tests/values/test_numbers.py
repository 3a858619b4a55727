"""Numbers of other libraries."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy
import pytest

from syncline.values.numbers import plain_number


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (numpy.int8(-3), -3),
        (numpy.uint64(2**64 - 1), 2**64 - 1),
        (numpy.float16(1.5), 1.5),
        (numpy.float32(0.1), 0.10000000149011612),
        (numpy.longdouble(2.5), 2.5),
    ],
)
def test_a_number_becomes_pythons_own(given: Any, plain: float) -> None:
    assert plain_number(given) == plain
    assert type(plain_number(given)) is type(plain)


@pytest.mark.parametrize(
    "value",
    [
        3,
        1.5,
        True,
        None,
        "3",
        Decimal(3),
        Fraction(1, 3),
        numpy.bool_(True),
        numpy.timedelta64(3, "s"),
        numpy.datetime64("2020-01-01"),
        numpy.complex64(1),
        numpy.array([3]),
    ],
)
def test_anything_else_stays_as_it_is(value: Any) -> None:
    assert plain_number(value) is value
