"""Live dictionaries (spec/sdk.md §1.12, §12.5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.realm.conftest import OpenRealm

from syncline import (
    Dictionary,
    EmbeddedModel,
    InvalidatedObjectError,
    InvalidDictionaryKeyError,
    Model,
    TypeMismatchError,
    WrongTransactionStateError,
)


class Part(EmbeddedModel):
    size: int = 0


class Dog(Model):
    name: str


class Person(Model):
    scores: Dictionary[int]
    dogs: Dictionary[Dog]
    parts: Dictionary[Part]
    extra: Dictionary[Any]


@pytest.fixture
def person(open_realm: OpenRealm) -> Iterator[Person]:
    realm = open_realm(Person, Dog, Part)
    realm.begin_write()
    yield realm.create(Person)
    if realm.in_write:
        realm.cancel_write()


def test_entries(person: Person) -> None:
    scores = person.scores
    scores["b"] = 2
    scores["a"] = 1
    scores.update({"c": 3}, d=4)
    assert list(scores) == ["a", "b", "c", "d"]
    assert (scores["a"], len(scores), "a" in scores, 5 in scores) == (1, 4, True, False)
    assert list(scores.items()) == [("a", 1), ("b", 2), ("c", 3), ("d", 4)]
    assert list(scores.values()) == [1, 2, 3, 4]
    assert scores.get("z", 0) == 0
    assert scores.pop("d") == 4
    assert scores.setdefault("a", 9) == 1
    del scores["c"]
    assert scores == {"a": 1, "b": 2}
    assert scores != {"a": 1}
    assert scores == person.scores
    assert scores != [1]
    assert repr(scores) == "<Dictionary {'a': 1, 'b': 2} (2 items)>"
    for missing in (
        lambda: scores["z"],
        lambda: scores.__delitem__("z"),
        lambda: scores[5],
        lambda: scores.__delitem__(5),
    ):
        with pytest.raises(KeyError):
            missing()  # type: ignore[no-untyped-call]
    scores.clear()
    assert not scores


def test_keys_that_cannot_be(person: Person) -> None:
    for key in ("$a", "a.b"):
        with pytest.raises(InvalidDictionaryKeyError):
            person.scores[key] = 1
    with pytest.raises(TypeMismatchError, match=r"Person.scores: the keys of a dictionary are str, got int 5"):
        person.scores[5] = 1  # type: ignore[index]
    person.scores[""] = 1
    person.scores["a$"] = 1
    with pytest.raises(TypeMismatchError, match=r"Person.scores: expected int, got str 'x'"):
        person.scores["a"] = "x"  # type: ignore[assignment]
    assert len(person.scores) == 2


def test_dictionaries_of_objects(person: Person) -> None:
    realm = person.realm
    assert realm is not None
    rex = realm.create(Dog, name="Rex")
    person.dogs = {"rex": rex, "bo": Dog(name="Bo"), "none": None}  # type: ignore[assignment]
    assert person.dogs["rex"] is rex
    assert person.dogs["none"] is None
    realm.delete(rex)
    assert person.dogs["rex"] is None
    assert len(person.dogs) == 3


def test_dictionaries_of_embedded_objects(person: Person) -> None:
    person.parts["a"] = Part(size=1)
    person.parts["b"] = {"size": 2}  # type: ignore[assignment]
    first = person.parts["a"]
    assert (first.size, first.parent) == (1, person)
    person.parts["a"] = Part(size=3)
    assert not first.is_valid
    assert person.parts["a"].size == 3
    second = person.parts["b"]
    del person.parts["b"]
    assert not second.is_valid


def test_mixed_values_nest(person: Person) -> None:
    person.extra = {"list": [1, {"k": 2}], "x": 1}  # type: ignore[assignment]
    person.extra["list"].append(3)
    assert person.extra["list"] == [1, {"k": 2}, 3]
    person.extra["x"] = {"y": []}
    person.extra["x"]["y"].append("z")
    assert person.extra["x"] == {"y": ["z"]}


def test_dictionaries_obey_the_rules(person: Person) -> None:
    realm = person.realm
    assert realm is not None
    scores = person.scores
    scores["a"] = 1
    realm.commit_write()
    for change in (lambda: scores.update(a=2), lambda: scores.clear(), lambda: scores.__delitem__("a")):
        with pytest.raises(WrongTransactionStateError):
            change()
    with realm.write():
        realm.delete(person)
    with pytest.raises(InvalidatedObjectError):
        scores["a"]
