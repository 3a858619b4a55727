"""Arithmetic and aggregates in SQL are those of the evaluator, at the edges of the numbers (spec/sdk.md §7.6, §7.8)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from tests.query.test_random_queries import check

from syncline import Float32, List, Model, QueryError, Realm, RealmConfiguration

INTS = [None, 0, 1, -1, 3, -7, 2**53 + 1, 2**63 - 1, -(2**63)]
DOUBLES = [None, 0.0, -0.0, 0.1, -2.5, 1e308, -1e308, 5e-324, math.inf, -math.inf, math.nan]
DECIMALS = [
    None,
    Decimal(0),
    Decimal("0.1"),
    Decimal("-9.999e6144"),
    Decimal("NaN"),
    Decimal("Infinity"),
    Decimal("1e-6176"),
]


class Pair(Model):
    i: int | None
    j: int | None
    x: float | None
    y: float | None
    f: Float32 | None
    d: Decimal | None
    ints: List[int | None]
    doubles: List[float | None]
    decimals: List[Decimal | None]
    singles: List[Float32 | None]
    mixed: List[Any]


@pytest.fixture(scope="module")
def realm() -> Iterator[Realm]:
    def some(values: list[Any], first: int, second: int) -> list[Any]:
        return [values[first % len(values)], values[second % len(values)], values[first * second % len(values)]]

    rows = []
    for first in range(11):
        for second in range(first % 2, 11, 2):
            i, x, d = INTS[first % 9], DOUBLES[first], DECIMALS[first % 7]
            lists = {"ints": INTS, "doubles": DOUBLES, "decimals": DECIMALS}
            rows.append(
                {
                    "i": i,
                    "j": INTS[second % 9],
                    "x": x,
                    "y": DOUBLES[second],
                    "d": d,
                    "f": None if x is None else Float32(x),
                    **{name: some(values, first, second)[: second % 4] for name, values in lists.items()},
                    "singles": [None if x is None else Float32(x), Float32(0.1)],
                    "mixed": [i, x, d, "a", None if x is None else Float32(x)][: first % 6],
                }
            )
    with Realm.open(RealmConfiguration(in_memory=True, schema=[Pair])) as opened:
        with opened.write():
            opened.create_many(Pair, rows)
        yield opened


def agree(realm: Realm, text: str) -> None:
    try:
        results = realm.objects(Pair).filter(text)
    except QueryError:  # an integer and inf
        return
    assert results.explain().evaluator is None
    check(results)


@pytest.mark.parametrize("sign", "+-*/")
def test_of_two_properties(realm: Realm, sign: str) -> None:
    for left, right in ("ij", "xy", "ix", "xi", "fi", "fx", "fd", "di", "dx", "ff"):
        for test in ("> 0", "== nan", "!= NULL", "<= -1", "== inf", "== -9223372036854775808", "== 0.1", f"== {left}"):
            agree(realm, f"{left} {sign} {right} {test}")


@pytest.mark.parametrize("name", ["ints", "doubles", "decimals", "singles", "mixed"])
def test_of_collections(realm: Realm, name: str) -> None:
    for function in ("@min", "@max", "@sum", "@avg"):
        for test in ("> 0", "== 0", "== NULL", "!= 0.1", "< i", "== d", "== inf"):
            agree(realm, f"{name}.{function} {test}")


def test_results_and_collections_agree(realm: Realm) -> None:
    for pair in realm.objects(Pair):
        for name in ("ints", "doubles", "decimals", "singles"):
            known = [value for value in getattr(pair, name) if value is not None and value == value]
            assert getattr(pair, name).min() == min(known, default=None)
            assert getattr(pair, name).max() == max(known, default=None)
