"""Queries use the indexes of properties, and say so (spec/sdk.md §13.6, §13.7)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from tests.query.test_random_queries import check

from syncline import Field, List, Model, Realm, RealmConfiguration


class Pet(Model):
    id: str = Field(primary_key=True)
    name: str | None = Field(index=True)
    age: int = Field(index=True)
    seen: datetime | None = Field(index=True)
    extra: Any = Field(index=True)
    price: Decimal | None
    friend: "Pet | None"  # noqa: UP037
    friends: "List[Pet]"  # noqa: UP037


@pytest.fixture(scope="module")
def realm() -> Iterator[Realm]:
    with Realm.open(RealmConfiguration(in_memory=True, schema=[Pet])) as opened:
        with opened.write():
            names = ["", "Rex", "Re\0", "Rf", "R", None, "Ré", "r", "Re\udc80", "Re\ud7ff", "\U0010ffff", "\udcff"]
            for number, name in enumerate(names):
                opened.create(Pet, {"id": f"{number:02}", "name": name, "age": number, "extra": name or number})
        yield opened


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("name == 'Rex'", "Pet.name"),
        ("name == NULL", "Pet.name"),
        ("name < 'Rex'", "Pet.name"),
        ("name >= 'Rex'", "Pet.name"),
        ("name BEGINSWITH 'Re'", "Pet.name"),
        ("name IN {'Rex', 'R'}", "Pet.name"),
        ("id == '03'", "Pet.id"),
        ("id BEGINSWITH '0'", "Pet.id"),
        ("age == 3", "Pet.age"),
        ("age > 3", "Pet.age"),
        ("age BETWEEN {2, 4}", "Pet.age"),
        ("age IN {2, 4} AND price == NULL", "Pet.age"),
        ("age > 3 AND price == NULL AND NOT name == 'x'", "Pet.age"),
        ("seen > 2024-01-01@00:00:00", "Pet.seen"),
        ("extra == 3", "Pet.extra"),
        ("extra > 'R'", "Pet.extra"),
        ("age == 3 OR name == 'Rex'", "Pet.name"),
        ("friend == obj('Pet', '03') AND age == 4", "Pet.age"),
    ],
)
def test_they_are_used(realm: Realm, text: str, index: str) -> None:
    results = realm.objects(Pet).filter(text)
    assert index in results.explain().indexes, str(results.explain())
    check(results)


@pytest.mark.parametrize("operator", ["==", "<", "<=", ">", ">=", "BEGINSWITH", "!="])
def test_ranges_of_strings_find_what_is_not_utf_8(realm: Realm, operator: str) -> None:
    for name in ("", "R", "Re", "Rex", "Re\0", "Re\udc80", "Re\ud7ff", "\U0010ffff", "z"):
        check(realm.objects(Pet).filter(f"name {operator} $0", name))


def test_backlinks_are_looked_up(realm: Realm) -> None:
    explained = realm.objects(Pet).filter("@links.Pet.friend.age > 3 AND @links.Pet.friends.@count == 0").explain()
    assert {"Pet.friend", "Pet.friends"} <= set(explained.indexes)


def test_what_is_explained(realm: Realm) -> None:
    explained = realm.objects(Pet).filter("age > 3 AND extra[*] == 1 SORT(price ASC)").explain()
    assert explained.query == "age > 3 and extra[*] == 1 SORT(price ASC)"
    assert explained.parameters == (3,)
    assert explained.plan[0] == "look up Pet by the index of Pet.age where age>?"
    assert explained.evaluator == "extra[*] == 1 SORT(price ASC)"
    assert str(explained).splitlines()[-1] == "Left to Python: extra[*] == 1 SORT(price ASC)"
    plain = realm.objects(Pet).sort("price").explain()
    assert plain.plan == ("look at every row of Pet", "sort")
    assert plain.evaluator is None
    assert "Indexes: none" in str(plain)


@pytest.mark.parametrize(
    "text",
    ["NOT friends.age == 3", "NONE friends.age == 3", "NOT @links.Pet.friends.age == 3", "NOT friends.friend.age > 3"],
)
def test_links_of_each_object_are_followed_to_their_few_ends(realm: Realm, text: str) -> None:
    """For each object all those of the same age would be quadratic, where many are."""
    explained = realm.objects(Pet).filter(text).explain()
    assert "Pet.age" not in explained.indexes
    assert explained.plan[0] == "look at every row of Pet"
    check(realm.objects(Pet).filter(text))
