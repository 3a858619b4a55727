"""Smallest, largest, sum and average of properties and collections (spec/sdk.md §7.6, §8)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from syncline import (
    Dictionary,
    Float32,
    IllegalOperationError,
    InvalidPropertyError,
    List,
    Model,
    QueryError,
    Realm,
    RealmConfiguration,
    Set,
)


class Item(Model):
    number: int | None
    ratio: float | None
    single: Float32 | None
    price: Decimal | None
    born: datetime | None
    name: str | None
    extra: Any
    friend: "Item | None"  # noqa: UP037
    friends: "List[Item]"  # noqa: UP037
    marks: List[int | None]
    prices: Set[Decimal]
    scores: Dictionary[float | None]
    bag: Dictionary[Any]
    other: "Set[Item]"  # noqa: UP037
    named: "Dictionary[Item | None]"  # noqa: UP037


@pytest.fixture
def realm() -> Iterator[Realm]:
    with Realm.open(RealmConfiguration(in_memory=True, schema=[Item])) as opened:
        yield opened


def made(realm: Realm, name: str, values: list[Any]) -> None:
    with realm.write():
        for value in values:
            realm.create(Item, {name: value})


AMOUNTS = (Decimal("0.1"), Decimal("0.2"), Decimal("0.3"), Decimal("0.15"))


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("number", [3, None, 1, 2], (1, 3, 6, 2.0)),
        ("number", [2**63 - 1, 1], (1, 2**63 - 1, -(2**63), 2.0**62)),
        ("number", [None], (None, None, 0, None)),
        ("ratio", [0.5, None, -1.5], (-1.5, 0.5, -1.0, -0.5)),
        ("ratio", [0.1] * 10, (0.1, 0.1, 1.0, 0.1)),
        ("ratio", [math.inf, 1.0], (1.0, math.inf, math.inf, math.inf)),
        ("single", [Float32(0.5), Float32(1.5)], (0.5, 1.5, 2.0, 1.0)),
        ("price", [Decimal("0.1"), None, Decimal("0.2"), Decimal("NaN")], AMOUNTS),
        ("price", [], (None, None, Decimal(0), None)),
        ("extra", [1, "a", None, Decimal("2.5"), True, [7]], (True, [7], Decimal("3.5"), Decimal("1.75"))),
    ],
)  # fmt: skip
def test_of_objects(realm: Realm, name: str, values: list[Any], expected: tuple[Any, ...]) -> None:
    made(realm, name, values)
    items = realm.objects(Item)
    expression = getattr(Item, name)
    found = (items.min(name), items.max(expression), items.sum(name), items.average(expression))
    assert found == expected


def test_nan_never_wins_but_spoils_sums(realm: Realm) -> None:
    made(realm, "ratio", [math.nan, 1.0, 2.0])
    items = realm.objects(Item)
    assert (items.min("ratio"), items.max("ratio")) == (1.0, 2.0)
    assert math.isnan(items.sum("ratio"))
    assert math.isnan(items.average("ratio"))


def test_dates_have_an_order_but_no_sum(realm: Realm) -> None:
    days = [datetime(2024, 1, day, tzinfo=UTC) for day in (3, 1, 2)]
    made(realm, "born", days)
    assert (realm.objects(Item).min("born"), realm.objects(Item).max("born")) == (days[1], days[0])
    with pytest.raises(IllegalOperationError, match=r"Item\.born: there is no sum"):
        realm.objects(Item).sum("born")


def test_of_what_a_query_finds(realm: Realm) -> None:
    made(realm, "number", [1, 2, 3, 4, 5])
    items = realm.objects(Item)
    assert items.filter("number > 2").sum("number") == 12
    assert items.sort("number", descending=True).limit(2).sum("number") == 9
    assert items.filter("number > 2 SORT(number DESC)").average("number") == 4.0
    assert items.filter("extra[*] == 1").max("number") is None  # decided by the evaluator
    assert items.filter("NOT extra[*] == 1").limit(2).max("number") == 2
    with realm.write():
        realm.create(Item, {"number": 100})
        assert items.max("number") == 100  # what is not committed yet, too


def test_an_object_in_a_list_twice_counts_twice(realm: Realm) -> None:
    made(realm, "number", [1, 2])
    one, two = realm.objects(Item)
    with realm.write():
        one.friends = [two, one, two]
    assert (one.friends.sum("number"), one.friends.average(Item.number), one.friends.max("number")) == (5, 5 / 3, 2)
    assert one.friends.filter("number > 1").sum("number") == 4


def test_a_link_in_a_mixed_value_is_the_largest(realm: Realm) -> None:
    made(realm, "number", [1])
    (one,) = realm.objects(Item)
    with realm.write():
        one.extra = one
        realm.create(Item, {"extra": 5})
    assert realm.objects(Item).max("extra") == one


def test_of_collections_of_values(realm: Realm) -> None:
    with realm.write():
        item = realm.create(
            Item,
            {
                "marks": [3, None, 1],
                "prices": {Decimal("0.5"), Decimal("1.5")},
                "scores": {"a": 1.5, "b": None},
                "bag": {"a": 1, "b": "x", "c": None},
                "extra": [1, 2, "x", [3]],
            },
        )
        assert (item.marks.min(), item.marks.max(), item.marks.sum(), item.marks.average()) == (1, 3, 4, 2.0)
    assert (item.prices.min(), item.prices.max(), item.prices.sum()) == (Decimal("0.5"), Decimal("1.5"), Decimal("2.0"))
    assert (item.scores.average(), item.scores.min()) == (1.5, 1.5)
    assert (item.bag.sum(), item.bag.max()) == (Decimal(1), "x")
    assert (item.extra.sum(), item.extra.min(), item.extra.max()) == (Decimal(3), 1, [3])


def test_sets_and_dictionaries_of_objects_can_be_queried(realm: Realm) -> None:
    made(realm, "number", [1, 2, 3])
    one, two, three = realm.objects(Item)
    with realm.write():
        one.other = {three, two}
        one.named = {"z": one, "a": three, "n": None, "b": three}
    assert list(one.other.filter("number > 2")) == [three]
    assert list(one.other.where(Item.number < 3)) == [two]
    assert (one.other.sum("number"), one.named.sum("number")) == (5, 7)
    assert list(one.named.filter("number >= 1")) == [three, three, one]  # in the order of the keys
    assert list(one.named.where(Item.number == 3).distinct("number")) == [three]
    with pytest.raises(QueryError, match="only"):
        one.marks.filter("number > 2")


@pytest.mark.parametrize("name", ["name", "friend", "friends", "marks"])
def test_other_properties_have_none(realm: Realm, name: str) -> None:
    for function in ("min", "max", "sum", "average"):
        with pytest.raises(IllegalOperationError, match=rf"Item\.{name}: there is no {function}"):
            getattr(realm.objects(Item), function)(name)


def test_names_that_are_no_property(realm: Realm) -> None:
    with pytest.raises(InvalidPropertyError):
        realm.objects(Item).min("nothing")
    with pytest.raises(QueryError, match="no property"):
        realm.objects(Item).min(Item.friend.number)
