"""Live lists behave as Python's (spec/sdk.md §1.12, §12.5)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.realm.conftest import OpenRealm

from syncline import (
    IllegalOperationError,
    InvalidatedObjectError,
    List,
    Model,
    QueryError,
    Realm,
    StaleAccessorError,
    TypeMismatchError,
    WrongTransactionStateError,
)
from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import ArrayErase, ArrayInsert, ArrayMove, EraseObject
from syncline.values import GlobalKey


class Dog(Model):
    name: str
    age: int = 0


class Person(Model):
    dogs: List[Dog]
    numbers: List[int]
    maybe: List[str | None]
    extra: List[Any]


@pytest.fixture
def person(open_realm: OpenRealm) -> Iterator[Person]:
    realm = open_realm(Person, Dog)
    realm.begin_write()
    yield realm.create(Person)
    if realm.in_write:
        realm.cancel_write()


def realm_of(person: Person) -> Realm:
    realm = person.realm
    assert realm is not None
    return realm


def test_reading(person: Person) -> None:
    person.numbers = [3, 1, 2, 1]  # type: ignore[assignment]
    numbers = person.numbers
    assert numbers is person.numbers
    assert (numbers[0], numbers[-1], len(numbers), bool(numbers)) == (3, 1, 4, True)
    assert numbers[1:3] == [1, 2]
    assert numbers[::-2] == [1, 1]
    assert numbers[5:] == []
    assert list(reversed(numbers)) == [1, 2, 1, 3]
    assert 2 in numbers
    assert 5 not in numbers
    assert "x" not in numbers
    assert numbers.index(1) == 1
    assert numbers.index(1, 2) == 3
    assert numbers.count(1) == 2
    assert numbers == [3, 1, 2, 1]
    assert numbers == (3, 1, 2, 1)
    assert numbers != [3]
    assert numbers != "3121"
    assert numbers == person.numbers
    assert numbers != person.maybe
    assert repr(numbers) == "<List [3, 1, 2, 1] (4 items)>"
    with pytest.raises(TypeError):
        hash(numbers)
    for index in (4, -5):
        with pytest.raises(IndexError):
            numbers[index]
    for search in (lambda: numbers.index(9), lambda: numbers.index(3, 1), lambda: numbers.index(2, 0, 1)):
        with pytest.raises(ValueError, match=r"is not in Person.numbers"):
            search()
    person.numbers.extend(range(20))
    assert repr(numbers).endswith(", …] (24 items)>")


def test_writing(person: Person) -> None:
    numbers = person.numbers
    numbers.append(1)
    numbers.extend([2, 3])
    numbers += [4]
    numbers.insert(0, 0)
    numbers.insert(-1, 9)
    numbers.insert(99, 5)
    assert numbers == [0, 1, 2, 3, 9, 4, 5]
    numbers[4] = 8
    numbers[-1] = 7
    del numbers[0]
    numbers.remove(2)
    assert numbers.pop() == 7
    assert numbers.pop(0) == 1
    assert numbers == [3, 8, 4]
    numbers.reverse()
    assert numbers == [4, 8, 3]
    numbers[1:2] = [5, 6, 7]
    numbers[::2] = [0, 0, 0]
    assert numbers == [0, 5, 0, 7, 0]
    del numbers[1:3]
    del numbers[::2]
    assert numbers == [7]
    numbers.clear()
    assert numbers == []
    assert not numbers
    for wrong in (lambda: numbers.__setitem__(0, 1), lambda: numbers.__delitem__(0), lambda: numbers.pop()):
        with pytest.raises(IndexError):
            wrong()
    with pytest.raises(ValueError, match=r"is not in Person.numbers"):
        numbers.remove(5)
    numbers.extend([1, 2, 3])
    with pytest.raises(ValueError, match=r"2 values for 3 places"):
        numbers[2::-1] = [1, 2]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    operations=st.lists(
        st.one_of(
            st.tuples(st.just("insert"), st.integers(-4, 8), st.integers(0, 9)),
            st.tuples(st.just("set"), st.integers(-4, 8), st.integers(0, 9)),
            st.tuples(st.just("delete"), st.integers(-4, 8)),
            st.tuples(
                st.just("slice"), st.integers(-4, 8), st.integers(-4, 8), st.lists(st.integers(0, 9), max_size=3)
            ),
            st.tuples(st.just("extend"), st.lists(st.integers(0, 9), max_size=3)),
            st.tuples(st.just("move"), st.integers(0, 5), st.integers(0, 5)),
            st.tuples(st.just("swap"), st.integers(0, 5), st.integers(0, 5)),
        ),
        max_size=20,
    )
)
def test_random_operations_agree_with_a_python_list(person: Person, operations: list[tuple[Any, ...]]) -> None:
    numbers = person.numbers
    numbers.clear()
    model: list[int] = []
    for name, *arguments in operations:
        outcomes = []
        for target in (numbers, model):
            try:
                outcomes.append(apply(target, name, arguments))
            except IndexError:
                outcomes.append(IndexError)
        assert outcomes[0] == outcomes[1]
        assert list(numbers) == model


def apply(target: Any, name: str, arguments: list[Any]) -> None:
    if name == "insert":
        target.insert(*arguments)
    elif name == "set":
        target[arguments[0]] = arguments[1]
    elif name == "delete":
        del target[arguments[0]]
    elif name == "slice":
        target[arguments[0] : arguments[1]] = arguments[2]
    elif name == "extend":
        target.extend(arguments[0])
    elif name == "move" and max(arguments) < len(target):
        if isinstance(target, list):
            target.insert(arguments[1], target.pop(arguments[0]))
        else:
            target.move(*arguments)
    elif name == "swap" and max(arguments) < len(target):
        first, second = arguments
        if isinstance(target, list):
            target[first], target[second] = target[second], target[first]
        else:
            target.swap(first, second)


def test_each_operation_is_one_instruction(person: Person) -> None:
    person.numbers.extend([1, 2, 3])
    start = len(realm_of(person)._context.writing().instructions)
    person.numbers.move(0, 2)
    person.numbers.insert(1, 9)
    del person.numbers[0]
    kinds = [type(each) for each in realm_of(person)._context.writing().instructions[start:]]
    assert kinds == [ArrayMove, ArrayInsert, ArrayErase]


def test_indexes(person: Person) -> None:
    """Those of numpy are numbers in SQLite too, and in the history; what is no index is refused."""
    numbers = person.numbers
    numbers.extend([1, 2, 3])
    one = numpy.int64(1)
    assert (numbers[one], numbers[-one], numbers[one:]) == (2, 3, [2, 3])  # type: ignore[misc]
    numbers[one] = 5  # type: ignore[call-overload]
    numbers.insert(one, 4)  # type: ignore[arg-type]
    numbers.move(numpy.int8(0), one)  # type: ignore[arg-type]
    numbers.swap(one, numpy.int8(2))  # type: ignore[arg-type]
    del numbers[one]  # type: ignore[arg-type]
    assert list(numbers) == [4, 1, 3]
    assert numbers.pop(one) == 1  # type: ignore[arg-type]
    realm = realm_of(person)
    realm.commit_write()
    assert list(person.numbers) == [4, 3]
    realm.begin_write()
    for use in (
        lambda: numbers["a"],  # type: ignore[call-overload]
        lambda: numbers.__setitem__("a", 5),  # type: ignore[call-overload]
        lambda: numbers.insert("a", 5),  # type: ignore[arg-type]
        lambda: numbers.__delitem__("a"),  # type: ignore[arg-type]
        lambda: numbers.swap(0, "a"),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeMismatchError, match=r"Person.numbers: an index is an int, got str 'a'"):
            use()
    assert list(numbers) == [4, 3]


def test_lists_of_objects(person: Person) -> None:
    realm = realm_of(person)
    rex = realm.create(Dog, name="Rex", age=3)
    person.dogs.append(rex)
    person.dogs.append(Dog(name="Bo", age=9))
    person.dogs.insert(0, {"name": "Kim"})  # type: ignore[arg-type]
    person.dogs.append(rex)
    assert [dog.name for dog in person.dogs] == ["Kim", "Rex", "Bo", "Rex"]
    assert rex in person.dogs
    assert person.dogs.index(rex) == 1
    assert Dog(name="Rex") not in person.dogs
    assert 5 not in person.dogs
    assert person.dogs[1] is rex
    person.dogs[0] = rex
    assert person.dogs == [rex, rex, person.dogs[2], rex]
    assert person.dogs[1:3] == [rex, person.dogs[2]]
    person.dogs.swap(0, 2)
    assert person.dogs[0].name == "Bo"
    person.dogs.swap(0, 2)
    person.dogs.delete_at(2)
    assert len(realm.objects(Dog)) == 2
    assert len(person.dogs) == 3
    del person.dogs[0]
    assert rex.is_valid
    with pytest.raises(
        TypeMismatchError, match=r"Person.dogs: expected Dog, got NoneType None|Person.dogs: its elements"
    ):
        person.dogs.append(None)  # type: ignore[arg-type]
    with pytest.raises(TypeMismatchError, match=r"Person.dogs: expected Dog, got Person"):
        person.dogs.append(Person())  # type: ignore[arg-type]
    with pytest.raises(IllegalOperationError, match=r"only lists of objects can delete"):
        person.numbers.delete_at(0)


def test_lists_can_be_queried(person: Person) -> None:
    realm = realm_of(person)
    dogs = [realm.create(Dog, name=name, age=age) for name, age in (("c", 1), ("a", 5), ("b", 9), ("z", 9))]
    person.dogs.extend([dogs[2], dogs[0], dogs[1], dogs[0]])
    assert [dog.name for dog in person.dogs.where(Dog.age < 9)] == ["c", "a", "c"]
    assert [dog.name for dog in person.dogs.sort("name")] == ["a", "b", "c", "c"]
    assert [dog.name for dog in person.dogs.sort("name", descending=True).limit(2)] == ["c", "c"]
    assert person.dogs.where(Dog.age < 9).count() == 3
    assert person.dogs.where(Dog.age < 9).count(dogs[0]) == 2
    assert dogs[3] not in person.dogs.where(Dog.age > 0)
    with pytest.raises(QueryError, match=r"Person.numbers: only lists of objects can be queried"):
        person.numbers.where()
    found = person.dogs.where(Dog.age > 0)
    assert len(found) == 4
    realm.delete(person)
    for use in (lambda: len(found), lambda: found[0], lambda: found.first()):
        with pytest.raises(InvalidatedObjectError, match=r"the object whose list these Dog were in was deleted"):
            use()


def test_links_to_missing_objects_are_hidden(person: Person) -> None:
    realm = realm_of(person)
    dogs = [realm.create(Dog, name=name) for name in "abc"]
    person.dogs.extend(dogs)
    tx = realm._context.writing()
    key = tx.key_of(realm._context.classes.of(Dog).info, dogs[1]._key)
    assert isinstance(key, GlobalKey)
    tx.apply(Changeset([EraseObject("Dog", key)], []))
    realm._context.touch()
    assert [dog.name for dog in person.dogs] == ["a", "c"]
    assert (len(person.dogs), person.dogs[1]) == (2, dogs[2])
    person.dogs.insert(1, dogs[0])
    assert [dog.name for dog in person.dogs] == ["a", "a", "c"]


def test_optional_and_mixed_elements(person: Person) -> None:
    person.maybe = ["a", None]  # type: ignore[assignment]
    assert person.maybe == ["a", None]
    assert None in person.maybe
    person.extra = [1, "a", None, [2, [3]], {"k": [4]}]  # type: ignore[assignment]
    assert person.extra[3] == [2, [3]]
    assert person.extra[4]["k"] == [4]
    inner = person.extra[3]
    person.extra[0] = [9]
    person.extra.insert(0, {"z": 1})
    person.extra.extend([[7], 8])
    assert (person.extra[-2], person.extra[-1]) == ([7], 8)
    assert person.extra[0] == {"z": 1}
    assert person.extra[1] == [9]
    assert inner == [2, [3]]
    del person.extra[4]
    assert not inner.is_valid
    with pytest.raises(StaleAccessorError, match=r"another value took the place"):
        inner.append(1)
    assert repr(inner) == "<List (deleted)>"


def test_equality_is_the_databases(person: Person) -> None:
    person.extra = [True, 1, "1", 1.0, True, Decimal(1)]  # type: ignore[assignment]
    extra = person.extra
    assert (extra.count(1), extra.count(True), extra.count("1"), extra.count(2)) == (3, 2, 1, 0)
    assert (extra.index(1), extra.index(True), extra.index(1, 2), extra.index(True, 1)) == (1, 0, 3, 4)
    assert extra.index(1.0, 0, -3) == 1
    with pytest.raises(ValueError, match=r"True is not in Person.extra"):
        extra.index(True, 1, 4)
    extra.remove(True)
    assert list(extra)[:2] == [1, "1"]
    person.numbers = [5, 1]  # type: ignore[assignment]
    assert (person.numbers.index(1.0), 5.0 in person.numbers, True in person.numbers) == (1, True, False)  # type: ignore[arg-type, comparison-overlap]
    assert (person.numbers.count(Decimal(5)), person.numbers.count(True)) == (1, 0)


def test_lists_of_deleted_objects(person: Person) -> None:
    numbers = person.numbers
    assert numbers.is_valid
    realm_of(person).delete(person)
    assert not numbers.is_valid
    for use in (lambda: len(numbers), lambda: numbers[0], lambda: list(numbers), lambda: numbers.append(1)):
        with pytest.raises(
            InvalidatedObjectError, match=r"Person.numbers: the object this collection belongs to was deleted"
        ):
            use()


def test_writing_needs_a_transaction(person: Person) -> None:
    realm = realm_of(person)
    person.numbers.append(1)
    realm.commit_write()
    numbers = person.numbers
    for change in (
        lambda: numbers.append(1),
        lambda: numbers.extend([1]),
        lambda: numbers.insert(0, 1),
        lambda: numbers.__setitem__(0, 1),
        lambda: numbers.__delitem__(0),
        lambda: numbers.remove(1),
        lambda: numbers.clear(),
        lambda: numbers.move(0, 0),
        lambda: numbers.swap(0, 0),
        lambda: setattr(person, "numbers", [2]),
    ):
        with pytest.raises(WrongTransactionStateError, match=r"changes need a write transaction"):
            change()
    assert numbers == [1]
    assert realm.is_closed is False
    realm.close()
    assert not numbers.is_valid
    assert repr(numbers) == "<List (closed)>"


def test_repr_on_another_thread_does_not_fail(person: Person) -> None:
    numbers = person.numbers
    shown: list[str] = []
    thread = threading.Thread(target=lambda: shown.append(repr(numbers)))
    thread.start()
    thread.join()
    assert shown == ["<List (on another thread)>"]


def test_a_list_is_for_annotations_only() -> None:
    with pytest.raises(TypeError, match=r"List is for annotations; assign a plain list"):
        List([1, 2])


def test_assigning_a_list_to_itself_changes_nothing(person: Person) -> None:
    person.numbers = [1, 2]  # type: ignore[assignment]
    person.numbers = person.numbers
    assert person.numbers == [1, 2]
    person.numbers = person.numbers[::-1]  # type: ignore[assignment]
    assert person.numbers == [2, 1]
    person.numbers = (number + 1 for number in person.numbers)  # type: ignore[assignment]
    assert person.numbers == [3, 2]
    person.numbers = None  # type: ignore[assignment]
    assert person.numbers == []
