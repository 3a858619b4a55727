"""Queries use the indexes of properties, and say so (spec/sdk.md §13.6, §13.7)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from tests.query.test_random_queries import check

from syncline import Field, List, Model, Realm, RealmConfiguration, Results
from syncline.query.evaluator import evaluate
from syncline.storage.query_objects import StoredObjects


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
    explained = realm.objects(Pet).filter("@links.Pet.friend.price > 3 AND @links.Pet.friends.@count == 0").explain()
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


@pytest.mark.parametrize(
    ("text", "indexes"),
    [
        ("friend.age == 3", {"Pet.friend", "Pet.age"}),
        ("friend.name BEGINSWITH 'R'", {"Pet.friend", "Pet.name"}),
        ("friend.friend.age IN {3, 4}", {"Pet.friend", "Pet.age"}),
        ("friend.extra > 3", {"Pet.friend", "Pet.extra"}),
        ("friend.age BETWEEN {2, 4}", {"Pet.friend", "Pet.age"}),
        ("friends.age == 3", {"Pet.friends", "Pet.age"}),
        ("ANY friends.name == ANY {'Rex', 'R'}", {"Pet.friends", "Pet.name"}),
        ("friends.friend.age < 3", {"Pet.friends", "Pet.friend", "Pet.age"}),
        ("friend == $0", {"Pet.friend"}),
        ("ANY friends == $0", {"Pet.friends"}),
        ("friends IN ANY {$0, $1}", {"Pet.friends"}),
        ("friend.friends == $0", {"Pet.friends", "Pet.friend"}),
        ("friends.friend == $0", {"Pet.friends", "Pet.friend"}),
        ("@links.Pet.friend.age == 3", {"Pet.age"}),
        ("@links.Pet.friends.age == 3", {"Pet.age"}),
        ("friend.@links.Pet.friends.id == '03'", {"Pet.friend", "Pet.id"}),
        ("age == 3 OR friend.age == 3", {"Pet.age", "Pet.friend"}),
        ("age IN {3, NULL}", {"Pet.age"}),
        ("name IN {'Rex', NULL} OR friends.age == 3", {"Pet.name", "Pet.friends", "Pet.age"}),
        ("friend.age == 3 AND friends.age == 4 AND price == NULL", {"Pet.age"}),
    ],
)
def test_linked_objects_are_looked_up_first(linked: Realm, text: str, indexes: set[str]) -> None:
    pets = linked.objects(Pet)
    results = pets.filter(text, pets[3], pets[4])
    explained = results.explain()
    assert indexes <= set(explained.indexes), str(explained)
    assert "look at every row of Pet" not in explained.plan
    agreed(results)
    assert len(pets.filter(text, pets[3], pets[4])) == len(results)
    for object in list(pets)[:4]:  # of few objects, each is looked at
        assert object.friends.filter(text, pets[3], pets[4])[:] == [each for each in object.friends if each in results]


@pytest.mark.parametrize("text", ["friend.age == 3 AND age == 4", "age > 3 AND friends.age == 4"])
def test_where_few_are_left_their_links_are_followed(linked: Realm, text: str) -> None:
    results = linked.objects(Pet).filter(text)
    assert "Pet.friends" not in results.explain().indexes
    agreed(results)


def agreed(results: Results[Any]) -> None:
    reader, info = results._context.reader(), results._binding.info
    assert list(results._all_keys()) == evaluate(results._resolve(), info, reader.keys(info), StoredObjects(reader))


@pytest.fixture(scope="module")
def linked() -> Iterator[Realm]:
    with Realm.open(RealmConfiguration(in_memory=True, schema=[Pet])) as opened:
        with opened.write():
            made = []
            for number in range(16):
                values = {"id": f"{number:02}", "name": ["Rex", "R", None][number % 3], "age": number % 5}
                pet = opened.create(Pet, {**values, "extra": number % 4 or None})
                pet.friend = made[number * 7 % len(made)] if number % 4 else None
                pet.friends.extend(made[number * n % len(made)] for n in (3, 5, 3)[: number % 4] if made)
                made.append(pet)
            opened.delete(made[6])
        yield opened


def test_an_index_gives_the_order_of_a_sort(linked: Realm) -> None:
    pets = linked.objects(Pet)
    for key in ("name", "age", "id", "seen"):
        for results in (pets.sort(key), pets.sort(key, descending=True), pets.sort(key).limit(5)):
            assert "sort" not in results.explain().plan, str(results.explain())
            agreed(results)
    with linked.write() as transaction:
        linked.create(Pet, {"id": "\udcff", "name": "S\udc80", "age": 1})  # not UTF-8, between the others
        linked.create(Pet, {"id": "99", "name": "T", "age": 1})
        assert "sort" in pets.sort("name").explain().plan
        assert [pet.name for pet in pets.sort("name", descending=True)[:2]] == ["T", "S\udc80"]
        agreed(pets.sort("name"))
        transaction.cancel()
    assert "sort" not in pets.sort("name").explain().plan
