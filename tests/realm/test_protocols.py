"""Collections keep Python's protocols: the table of spec/sdk.md §12.5 cell by cell, the algebra of sets of §1.12."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping, MutableMapping, MutableSequence, MutableSet, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from tests.realm.conftest import OpenRealm

from syncline import (
    Counter,
    Dictionary,
    EmbeddedModel,
    Field,
    IllegalOperationError,
    KeyNotFoundError,
    List,
    Model,
    OutOfBoundsError,
    QueryError,
    Realm,
    Results,
    Set,
)


class Dog(Model):
    name: str = Field(primary_key=True)
    age: int = 0


class Leg(EmbeddedModel):
    number: int


class Person(Model):
    name: str
    dogs: List[Dog]
    pack: Set[Dog]
    by_name: Dictionary[Dog | None]
    numbers: List[int]
    members: Set[int]
    scores: Dictionary[int]
    anything: Set[Any]
    legs: List[Leg]
    visits: Counter = 0


@pytest.fixture
def person(open_realm: OpenRealm) -> Person:
    realm = open_realm(Person, Dog, Leg)
    realm.begin_write()
    dogs = [realm.create(Dog, name=name, age=age) for name, age in (("Rex", 3), ("Bo", 5))]
    return realm.create(
        Person,
        name="Ann",
        dogs=dogs,
        pack=dogs,
        by_name={"b": dogs[1], "a": dogs[0]},
        numbers=[3, 1, 3],
        members={3, 1},
        scores={"b": 2, "a": 1},
    )


def realm_of(person: Person) -> Realm:
    assert person.realm is not None
    return person.realm


def test_they_are_what_collections_abc_calls_them(person: Person) -> None:
    results = realm_of(person).objects(Dog)
    assert isinstance(results, Sequence)
    assert isinstance(person.numbers, MutableSequence)
    assert isinstance(person.members, MutableSet)
    assert isinstance(person.scores, MutableMapping)


def test_size_truth_membership_iteration(person: Person) -> None:
    rex = person.dogs[0]
    full: list[tuple[Collection[Any], list[Any], Any, Any]] = [
        (realm_of(person).objects(Dog), [rex, person.dogs[1]], rex, 5),
        (person.numbers, [3, 1, 3], 3, 7),
        (person.members, [1, 3], 3, 7),
        (person.scores, ["a", "b"], "a", "c"),
    ]
    for collection, elements, there, absent in full:
        assert len(collection) == len(elements)
        assert bool(collection)
        assert list(collection) == elements
        assert there in collection
        assert absent not in collection
    empty = realm_of(person).create(Person, name="Bob")
    none: list[Collection[Any]] = [empty.numbers, empty.members, empty.scores, realm_of(person).objects(Leg)]
    for collection in none:
        assert not collection
        assert list(collection) == []


def test_index_and_slice(person: Person) -> None:
    results = realm_of(person).objects(Dog)
    for sequence in (results, person.dogs):
        assert sequence[0].name == "Rex"
        assert sequence[-1].name == "Bo"
        assert [dog.name for dog in sequence[::-1]] == ["Bo", "Rex"]
        assert isinstance(sequence[0:1], list)
        with pytest.raises(OutOfBoundsError):
            sequence[2]
        with pytest.raises(OutOfBoundsError):
            sequence[-3]
    assert person.scores["b"] == 2
    with pytest.raises(KeyNotFoundError, match=r"there is no key 'c'"):
        person.scores["c"]
    with pytest.raises(TypeError):
        person.members[0]  # type: ignore[index]


def test_equality(person: Person) -> None:
    other = realm_of(person).create(
        Person, name="Bob", numbers=[3, 1, 3], members={1, 3}, scores={"a": 1, "b": 2}, dogs=list(person.dogs)
    )
    assert person.numbers == person.numbers
    assert person.numbers == [3, 1, 3]
    assert person.numbers != [3, 1]
    assert person.numbers != other.numbers, "two lists of different objects are different lists"
    assert person.dogs == list(other.dogs)
    assert person.members == {1, 3}
    assert person.members == other.members
    assert person.members != {1}
    assert person.scores == {"a": 1, "b": 2}
    assert person.scores == other.scores
    assert person.scores != {"a": 1}
    for unhashable in (person.numbers, person.members, person.scores):
        with pytest.raises(TypeError):
            hash(unhashable)
    results = realm_of(person).objects(Dog)
    assert results == results
    assert results != realm_of(person).objects(Dog)
    assert len({results, realm_of(person).objects(Dog)}) == 2


def test_more_of_lists(person: Person) -> None:
    numbers = person.numbers
    numbers.move(0, 2)
    assert numbers == [1, 3, 3]
    numbers.swap(0, 2)
    assert numbers == [3, 3, 1]
    numbers.reverse()
    assert numbers == [1, 3, 3]
    assert numbers.pop() == 3
    with pytest.raises(OutOfBoundsError):
        numbers.pop(9)
    with pytest.raises(OutOfBoundsError):
        numbers.move(0, 9)
    person.legs = [{"number": 1}, {"number": 2}, {"number": 3}]  # type: ignore[assignment]
    person.legs.reverse()
    assert [leg.number for leg in person.legs] == [3, 2, 1]
    assert [dog.name for dog in person.dogs.filter("age > 3")] == ["Bo"]
    assert [dog.name for dog in person.dogs.where(Dog.age > 3)] == ["Bo"]
    assert [dog.name for dog in person.dogs.sort("age", descending=True)] == ["Bo", "Rex"]


def test_more_of_dictionaries(person: Person) -> None:
    assert [dog.name for dog in person.by_name.filter("age > 0")] == ["Rex", "Bo"]
    assert isinstance(person.by_name.where(Dog.age > 3), Results)
    assert person.scores.pop("a") == 1
    assert person.scores.pop("a", 7) == 7
    assert person.scores.setdefault("z", 9) == 9
    assert person.scores.popitem() == ("b", 2)
    with pytest.raises(QueryError, match=r"Person.scores: only dictionaries of objects can be queried"):
        person.scores.filter("TRUEPREDICATE")


@pytest.mark.parametrize("name", ["dogs", "pack", "by_name"])
def test_objects_can_be_deleted_through_their_collection(person: Person, name: str) -> None:
    getattr(person, name).delete_all()
    assert len(realm_of(person).objects(Dog)) == 0
    assert len(person.dogs) == len(person.pack) == 0
    assert dict(person.by_name) == {"a": None, "b": None}
    person.by_name.delete_all()


@pytest.mark.parametrize("name", ["dogs", "pack", "by_name"])
def test_the_realm_deletes_the_objects_of_a_collection(person: Person, name: str) -> None:
    realm_of(person).delete(getattr(person, name))
    assert len(realm_of(person).objects(Dog)) == 0


def test_values_cannot_be_deleted(person: Person) -> None:
    for name, kind in (("numbers", "lists"), ("members", "sets"), ("scores", "dictionaries")):
        with pytest.raises(IllegalOperationError, match=f"Person.{name}: only {kind} of objects can delete"):
            getattr(person, name).delete_all()


# --- the algebra of sets ----------------------------------------------------------------------------------------------

CONTENTS: list[set[int]] = [set(), {1}, {1, 2}, {2, 3}, {1, 2, 3}]
RIGHT: list[Callable[[set[int]], Any]] = [set, frozenset, lambda s: [*s, *s], lambda s: dict.fromkeys(s)]
ASK = ("issubset", "issuperset", "isdisjoint")
MAKE = ("union", "intersection", "difference", "symmetric_difference")
CHANGE = ("update", "intersection_update", "difference_update", "symmetric_difference_update")


def test_methods_take_any_collection(person: Person) -> None:
    for left, right in product(CONTENTS, CONTENTS):
        check_methods_take_any_collection(person, left, right)


def check_methods_take_any_collection(person: Person, left: set[int], right: set[int]) -> None:
    person.members = left  # type: ignore[assignment]
    members = person.members
    for given in (make(right) for make in RIGHT):
        for name in ASK:
            assert getattr(members, name)(given) == getattr(left, name)(right), name
        assert (members.is_strict_subset(given), members.is_strict_superset(given)) == (left < right, left > right)
        assert members.intersects(given) is bool(left & right)
        assert members.set_equals(given) is (left == right)
        for name in MAKE:
            found = getattr(members, name)(given)
            assert type(found) is set
            assert found == getattr(left, name)(right), name
        for name in CHANGE:
            person.members = left  # type: ignore[assignment]
            expected = set(left)
            getattr(expected, name)(right)
            getattr(members, name)(given)
            assert members == expected, name
        person.members = left  # type: ignore[assignment]


OPERATORS = [operator.le, operator.lt, operator.ge, operator.gt, operator.eq, operator.ne]
MAKING = [operator.or_, operator.and_, operator.sub, operator.xor]
IN_PLACE = [operator.ior, operator.iand, operator.isub, operator.ixor]


def test_operators(person: Person) -> None:
    for left, right in product(CONTENTS, CONTENTS):
        check_operators(person, left, right)


def check_operators(person: Person, left: set[int], right: set[int]) -> None:
    person.members = left  # type: ignore[assignment]
    other = realm_of(person).create(Person, name="Bob", members=right).members
    for compare in OPERATORS:
        assert compare(person.members, right) == compare(left, right)
        assert compare(person.members, other) == compare(left, right)
        assert compare(left, other) == compare(left, right)
    for make in MAKING:
        for found in (make(person.members, right), make(person.members, other), make(left, other)):
            assert type(found) is set
            assert found == make(left, right)
    for change in IN_PLACE:
        person.members = left  # type: ignore[assignment]
        assert change(person.members, other) is person.members
        assert person.members == change(set(left), right)


def test_a_set_with_itself(person: Person) -> None:
    members = person.members
    members &= members
    members |= members
    assert members == {1, 3}
    members ^= members
    assert members == set()
    members.update([1, 2])
    members -= members
    assert not members


def test_numbers_are_equal_across_types_and_bool_is_no_number(person: Person) -> None:
    person.anything = [1, Decimal("2.00"), 3.5, True, "1"]  # type: ignore[assignment]
    anything = person.anything
    assert anything.set_equals([1.0, 2, Decimal("3.5"), True, "1"])
    assert not anything.set_equals([1.0, 2, Decimal("3.5"), 1, "1"])
    assert anything.issuperset([1.0, 2.0])
    assert anything.intersects([Decimal(2)])
    assert not anything.intersects([False, b"1", None])
    anything.difference_update([Decimal(1)])
    assert list(anything) == [True, 2, 3.5, "1"]
    anything.symmetric_difference_update([2.0, 1])
    assert list(anything) == [True, 1, 3.5, "1"]
    assert person.members.issuperset([1.0, Decimal(3)])
    assert not person.members.issuperset([True])


def test_objects_in_sets(person: Person) -> None:
    rex, bo = person.dogs
    assert person.pack == {rex, bo}
    assert person.pack - {rex} == {bo}
    assert person.pack.issuperset(person.dogs)
    assert person.pack.isdisjoint([Dog(name="Rex")])
    person.pack.intersection_update([rex])
    assert list(person.pack) == [rex]


def test_adding_tells_whether_it_was_new(person: Person) -> None:
    assert person.members.add(5) is True
    assert person.members.add(5) is False
    assert person.anything.add(1) is True
    assert person.anything.add(1.0) is False
    with pytest.raises(KeyNotFoundError, match=r"7 is not in Person.members"):
        person.members.remove(7)
    person.members.clear()
    with pytest.raises(KeyNotFoundError, match=r"Person.members is empty"):
        person.members.pop()


def test_counters_can_be_set(person: Person) -> None:
    person.visits.increment(2)
    person.visits.set(7)
    assert person.visits == 7
    assert person.visits.value == 7
    with pytest.raises(TypeError, match=r"belongs to no object"):
        Counter(3).set(5)


def test_unmanaged_collections_are_pythons() -> None:
    bob = Person(name="Bob")
    assert type(bob.numbers) is list
    assert type(bob.members) is set
    assert type(bob.scores) is dict
    assert isinstance(bob.members, AbstractSet)
    assert isinstance(bob.scores, Mapping)
