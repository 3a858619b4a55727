"""Places inside Mixed values in SQL are those of the evaluator (spec/sdk.md §7.3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.query.test_random_queries import check

from syncline import Dictionary, List, Model, Realm, RealmConfiguration


class Bag(Model):
    m: Any
    many: List[Any]
    named: Dictionary[Any]
    next: "Bag | None"  # noqa: UP037


VALUES: list[Any] = [
    *(None, 1, "x", 2.5, [], {}, [1], [None], ["x", [2, 3]], [[], {}], {"k": 1}, {"k": None}, {"k": [1, "x"]}),
    *({"a": {"k": 1}}, {"k": {"k": "x"}}, [{"k": 1}, {"k": 2}], [1, 2, {"k": []}], {"x y": 1}),
]


@pytest.fixture(scope="module")
def realm() -> Iterator[Realm]:
    with Realm.open(RealmConfiguration(in_memory=True, schema=[Bag])) as opened:
        with opened.write():
            last = None
            for number, value in enumerate(VALUES):
                rest = [VALUES[number * 3 % len(VALUES)], VALUES[number * 5 % len(VALUES)]][: number % 3]
                named = dict(zip(["k", "a"], rest, strict=False))
                last = opened.create(Bag, {"m": value, "many": rest, "named": named, "next": last})
            last.next.m = [last, {"k": last}]
        yield opened


@pytest.mark.parametrize(
    "start", ["m", "next.m", "next.next.m", "many[0]", "next.many[LAST]", "named.k", "@links.Bag.next.m"]
)
@pytest.mark.parametrize("place", ["[0]", "[LAST]", "[1][0]", ".k", "['x y']", ".k[1]", ".k.k", "[0].k", ".a.k"])
def test_they_are_decided_in_sql(realm: Realm, start: str, place: str) -> None:
    for test in (
        "== 1",
        "!= 1",
        "== NULL",
        "== 'x'",
        "> 1",
        "BEGINSWITH 'x'",
        ".@type == 'list'",
        ".@count == 0",
        "== m",
    ):
        results = realm.objects(Bag).filter(start + place + (test if test[0] == "." else f" {test}"))
        assert results.explain().evaluator is None
        check(results)
