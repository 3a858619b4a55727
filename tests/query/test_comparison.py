"""When two stored values compare (spec/sdk.md §7.4)."""

from __future__ import annotations

import math
from uuid import UUID

import pytest

from syncline import Decimal128, Float32, ObjectId, Timestamp
from syncline.query.ast import Operator
from syncline.query.comparison import matches

EQ, NE, LT, LE, GT, GE = Operator.EQ, Operator.NE, Operator.LT, Operator.LE, Operator.GT, Operator.GE


def relations(left: object, right: object) -> set[Operator]:
    """The comparison operators that hold."""
    return {operator for operator in (EQ, NE, LT, LE, GT, GE) if matches(operator, left, right)}


@pytest.mark.parametrize(
    ("left", "right", "holds"),
    [
        (None, None, {EQ, LE, GE}),
        (None, 5, {NE}),
        ("a", None, {NE}),
        (1, 2, {NE, LT, LE}),
        (2, 2, {EQ, LE, GE}),
        (2, 2.0, {EQ, LE, GE}),
        (2**53 + 1, float(2**53), {NE, GT, GE}),
        (Float32(0.5), 0.5, {EQ, LE, GE}),
        (Decimal128(150, -2), 1.5, {EQ, LE, GE}),
        (Decimal128(1), 2, {NE, LT, LE}),
        (0.0, -0.0, {EQ, LE, GE}),
        (math.nan, math.nan, {NE}),
        (math.nan, 1.0, {NE}),
        (Decimal128(0, 9696), 1, {NE}),
        (True, 1, {NE}),
        (True, False, {NE, GT, GE}),
        ("Z", "a", {NE, LT, LE}),
        ("a", "Ä", {NE, LT, LE}),
        ("a", b"a", {NE}),
        (b"a", b"a\0", {NE, LT, LE}),
        (Timestamp(1, 0), Timestamp(1, 1), {NE, LT, LE}),
        (ObjectId(bytes(12)), ObjectId(b"\1" * 12), {NE, LT, LE}),
        (UUID(int=2), UUID(int=1), {NE, GT, GE}),
        (UUID(int=2), 2, {NE}),
    ],
)
def test_comparisons(left: object, right: object, holds: set[Operator]) -> None:
    assert relations(left, right) == holds


@pytest.mark.parametrize(
    ("operator", "subject", "needle", "fold", "holds"),
    [
        (Operator.BEGINSWITH, "Rex", "R", False, True),
        (Operator.BEGINSWITH, "Rex", "r", False, False),
        (Operator.BEGINSWITH, "Rex", "r", True, True),
        (Operator.ENDSWITH, "Rex", "ex", False, True),
        (Operator.CONTAINS, "Rex", "", False, True),
        (Operator.CONTAINS, None, "", False, False),
        (Operator.CONTAINS, None, None, False, True),
        (Operator.CONTAINS, "Rex", None, False, True),
        (Operator.LIKE, None, None, False, True),
        (Operator.LIKE, "Rex", None, False, False),
        (Operator.LIKE, "Rex", "r?X", True, True),
        (Operator.CONTAINS, b"\x00\xff", b"\xff", False, True),
        (Operator.BEGINSWITH, b"AB", b"ab", True, True),
        (Operator.LIKE, b"a\xffb", b"a?b", False, True),
        (Operator.CONTAINS, "a", b"a", False, False),
        (Operator.CONTAINS, 5, "5", False, False),
        (Operator.EQ, "Ä", "ä", True, True),
        (Operator.NE, "Ä", "ä", True, False),
    ],
)
def test_string_operators(operator: Operator, subject: object, needle: object, fold: bool, holds: bool) -> None:
    assert matches(operator, subject, needle, fold) is holds
