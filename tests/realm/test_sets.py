"""Live sets (spec/sdk.md §1.12, §12.5)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from tests.realm.conftest import OpenRealm

from syncline import Float32, InvalidatedObjectError, Model, Set, TypeMismatchError, WrongTransactionStateError


class Dog(Model):
    name: str


class Person(Model):
    tags: Set[str]
    numbers: Set[int | None]
    dogs: Set[Dog]
    extra: Set[Any]


@pytest.fixture
def person(open_realm: OpenRealm) -> Iterator[Person]:
    realm = open_realm(Person, Dog)
    realm.begin_write()
    yield realm.create(Person)
    if realm.in_write:
        realm.cancel_write()


def test_members(person: Person) -> None:
    tags = person.tags
    tags.add("b")
    tags.add("a")
    tags.add("b")
    assert list(tags) == ["a", "b"]
    assert (len(tags), "a" in tags, "z" in tags, 5 in tags) == (2, True, False, False)
    tags.discard("z")
    tags.discard(5)  # type: ignore[arg-type]
    tags.remove("a")
    with pytest.raises(KeyError):
        tags.remove("a")
    assert tags == {"b"}
    assert tags != {"c"}
    assert tags == person.tags
    assert tags != ["b"]
    tags.update(["c"], ["d"])
    assert repr(tags) == "<Set {'b', 'c', 'd'} (3 items)>"
    assert tags.pop() in {"b", "c", "d"}
    tags.clear()
    assert not tags


def test_algebra_gives_python_sets(person: Person) -> None:
    person.tags = {"a", "b"}  # type: ignore[assignment]
    tags = person.tags
    assert tags | {"c"} == {"a", "b", "c"}
    assert tags & {"a"} == {"a"}
    assert tags - {"a"} == {"b"}
    assert tags ^ {"a", "c"} == {"b", "c"}
    assert type(tags | {"c"}) is set
    assert {"a"} <= tags
    assert tags.isdisjoint({"z"})
    tags |= {"c"}
    tags -= {"a"}
    tags &= {"b", "c", "d"}
    tags ^= {"b"}
    assert tags == {"c"}


def test_equality_is_the_databases(person: Person) -> None:
    for value in (1, 1.0, Decimal(1), True, "1", None):
        person.extra.add(value)
    assert list(person.extra) == [None, True, 1, "1"]
    person.numbers = [3, None, 1, 3]  # type: ignore[assignment]
    assert list(person.numbers) == [None, 1, 3]


def test_numbers_of_other_types(person: Person) -> None:
    person.numbers = [1, 2]  # type: ignore[assignment]
    numbers: Set[Any] = person.numbers
    assert [value in numbers for value in (1.0, Decimal(2), Float32(1))] == [True, True, True]
    for absent in (1.5, True, False, float("nan"), float("inf"), Decimal("Infinity"), "1", 2**70, 1e300):
        assert absent not in numbers
        numbers.discard(absent)
    numbers.discard(1.0)
    numbers.remove(Decimal(2))
    assert len(numbers) == 0


def test_sets_of_objects(person: Person) -> None:
    realm = person.realm
    assert realm is not None
    rex = realm.create(Dog, name="Rex")
    person.dogs = {rex, Dog(name="Bo")}  # type: ignore[assignment]
    assert len(person.dogs) == 2
    assert rex in person.dogs
    realm.delete(rex)
    assert len(person.dogs) == 1
    with pytest.raises(TypeMismatchError, match=r"Person.dogs: expected Dog"):
        person.dogs.add(5)  # type: ignore[arg-type]


def test_sets_obey_the_rules(person: Person) -> None:
    realm = person.realm
    assert realm is not None
    with pytest.raises(TypeMismatchError, match=r"Person.tags: expected str, got int 5"):
        person.tags.add(5)  # type: ignore[arg-type]
    tags = person.tags
    realm.commit_write()
    for change in (lambda: tags.add("x"), lambda: tags.discard("x"), lambda: tags.clear()):
        with pytest.raises(WrongTransactionStateError):
            change()
    with realm.write():
        realm.delete(person)
    with pytest.raises(InvalidatedObjectError):
        list(tags)
