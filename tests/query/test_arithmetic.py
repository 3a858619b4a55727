"""Arithmetic and aggregates of stored numbers (spec/sdk.md §7.6, §7.8)."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.query.arithmetic import aggregate, calculate, wrapped
from syncline.query.ast import Aggregation, ArithmeticOperator, LinkLiteral
from syncline.values import Decimal128, Float32, Timestamp, kinds

LEAST, MOST = -(2**63), 2**63 - 1
D = Decimal128.from_text

RESULTS: list[tuple[Any, str, Any, Any]] = [
    (1, "+", 2, 3),
    (MOST, "+", 1, LEAST),
    (LEAST, "-", 1, MOST),
    (MOST, "*", MOST, 1),
    (7, "/", 2, 3),
    (-7, "/", 2, -3),
    (7, "/", -2, -3),
    (LEAST, "/", -1, LEAST),
    (5, "/", 0, MOST),
    (0, "/", 0, MOST),
    (-5, "/", 0, LEAST),
    (None, "+", 1, None),
    (1, "/", None, None),
    (7, "/", 2.0, 3.5),
    (1.0, "/", 0, math.inf),
    (-1.0, "/", 0.0, -math.inf),
    (1.0, "/", -0.0, -math.inf),
    (1e308, "*", 10.0, math.inf),
    (1, "+", Float32(0.5), Float32(1.5)),
    (Float32(0.1), "+", Float32(0.2), Float32(float(Float32(0.1)) + float(Float32(0.2)))),
    (Float32(0.5), "+", 0.25, 0.75),
    (D("0.1"), "+", D("0.20"), D("0.30")),
    (D("0.1"), "+", 1, D("1.1")),
    (D("0.1"), "+", 0.2, D("0.3")),
    (D("1"), "/", D("3"), D("0." + "3" * 34)),
    (D("1"), "/", 0, D("Infinity")),
    (D("9E6144"), "*", D("10"), D("Infinity")),
]


@pytest.mark.parametrize(("left", "symbol", "right", "result"), RESULTS)
def test_results(left: Any, symbol: str, right: Any, result: Any) -> None:
    found = calculate(ArithmeticOperator(symbol), left, right)
    assert found == result
    assert type(found) is type(result)


def test_what_has_no_result_is_nan() -> None:
    divide = ArithmeticOperator.DIVIDE
    assert math.isnan(calculate(divide, 0.0, 0))  # type: ignore[arg-type]
    assert math.isnan(calculate(divide, math.nan, 0))  # type: ignore[arg-type]
    zero = calculate(divide, D("0"), D("0"))
    assert isinstance(zero, Decimal128)
    assert zero.is_nan()


@given(st.integers(LEAST, MOST), st.integers(LEAST, MOST))
def test_integers_wrap(left: int, right: int) -> None:
    for operator, exact in (("+", left + right), ("-", left - right), ("*", left * right)):
        found = calculate(ArithmeticOperator(operator), left, right)
        assert isinstance(found, int)
        assert LEAST <= found <= MOST
        assert (found - exact) % 2**64 == 0
        assert found == wrapped(exact)


MIN, MAX, SUM, AVG = (Aggregation[name] for name in ("MIN", "MAX", "SUM", "AVG"))
NAN = math.nan
MIXED = [None, "a", 1, D("2.5"), True, LinkLiteral(1, 1), [1], {"k": 1}, 3.0]

AGGREGATES: list[tuple[Aggregation, int, list[Any], Any]] = [
    (SUM, kinds.INT, [1, None, 2], 3),
    (SUM, kinds.INT, [MOST, 1], LEAST),
    (SUM, kinds.INT, [], 0),
    (SUM, kinds.DOUBLE, [], 0.0),
    (SUM, kinds.FLOAT, [Float32(0.5), None, Float32(1)], 1.5),
    (SUM, kinds.DECIMAL, [], D("0")),
    (SUM, kinds.DECIMAL, [D("1.5"), D("NaN"), None], D("1.5")),
    (SUM, kinds.MIXED, MIXED, D("6.5")),
    (SUM, kinds.MIXED, ["a"], D("0")),
    (AVG, kinds.INT, [1, 2, None], 1.5),
    (AVG, kinds.INT, [None], None),
    (AVG, kinds.DECIMAL, [D("1"), D("2")], D("1.5")),
    (AVG, kinds.MIXED, [1, "x", 2.0], D("1.5")),
    (AVG, kinds.MIXED, ["x"], None),
    (MIN, kinds.INT, [3, None, 1], 1),
    (MAX, kinds.INT, [], None),
    (MIN, kinds.DOUBLE, [NAN, 2.0, 1.0], 1.0),
    (MAX, kinds.DOUBLE, [NAN], None),
    (MIN, kinds.DECIMAL, [D("NaN"), D("2")], D("2")),
    (MAX, kinds.TIMESTAMP, [Timestamp(1, 0), None, Timestamp(2, 0)], Timestamp(2, 0)),
    (MIN, kinds.MIXED, MIXED, True),
    (MAX, kinds.MIXED, MIXED[:-3], LinkLiteral(1, 1)),
    (MAX, kinds.MIXED, ["a", b"b", "c"], b"b"),
]


@pytest.mark.parametrize(("function", "kind", "values", "result"), AGGREGATES)
def test_aggregates(function: Aggregation, kind: int, values: list[Any], result: Any) -> None:
    found = aggregate(function, kind, values)
    assert found == result
    assert type(found) is type(result)


def test_sums_of_doubles_keep_nan() -> None:
    assert math.isnan(aggregate(SUM, kinds.DOUBLE, [1.0, NAN]))  # type: ignore[arg-type]
