"""Keys and values of dictionaries: Python's views, and live results (spec/sdk.md §1.12, §8, §9.1)."""

from __future__ import annotations

import asyncio
from collections.abc import ItemsView, KeysView, ValuesView
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.realm.conftest import OpenRealm
from tests.realm.told import Log

from syncline import (
    CollectionChange,
    Dictionary,
    Field,
    IllegalOperationError,
    InvalidatedObjectError,
    InvalidPropertyError,
    Model,
    OutOfBoundsError,
    QueryError,
    Realm,
    RealmConfiguration,
    WrongTransactionStateError,
)

FIRST = CollectionChange(initial=True)


class Dog(Model):
    name: str = Field(primary_key=True)
    age: int = 0


class Person(Model):
    name: str = Field(primary_key=True)
    scores: Dictionary[int]
    dogs: Dictionary[Dog | None]
    extra: Any = None


@pytest.fixture
def person(open_realm: OpenRealm) -> Person:
    realm = open_realm(Person, Dog)
    with realm.write():
        return realm.create(
            Person, name="Ann", scores={"b": 2, "a": 1, "é": 4, "c": 3}, extra={"k": [1], "t": True},
            dogs={"x": {"name": "Rex", "age": 3}, "y": {"name": "Bo", "age": 1}, "z": None},
        )  # fmt: skip


def realm_of(person: Person) -> Realm:
    assert person.realm is not None
    return person.realm


def test_they_are_the_views_of_a_mapping(person: Person) -> None:
    scores = person.scores
    keys, values, items = scores.keys(), scores.values(), scores.items()
    known: Any = (keys, items)
    assert isinstance(keys, KeysView)
    assert isinstance(values, ValuesView)
    assert isinstance(items, ItemsView)
    assert (list(keys), list(values), len(keys), len(values)) == (["a", "b", "c", "é"], [1, 2, 3, 4], 4, 4)
    assert keys & {"a", "z"} == {"a"}
    assert keys | {"z"} == {"a", "b", "c", "é", "z"}
    assert known == ({"a", "b", "c", "é"}, {("a", 1), ("b", 2), ("c", 3), ("é", 4)})
    assert keys <= {"a", "b", "c", "d", "é"}
    assert keys.isdisjoint({"z"})
    assert ("a" in keys, 2 in values, 9 in values) == (True, True, False)
    assert (("a", 1) in items, ("a", 2) in items, ("z", 1) in items) == (True, False, False)
    assert (1 in known[0], "a" in known[1]) == (False, False)
    assert dict(items) == dict(zip(keys, values, strict=True)) == scores
    with realm_of(person).write():
        del scores["b"]
        scores["d"] = 9
    assert (list(keys), list(values), len(items)) == (["a", "c", "d", "é"], [1, 3, 9, 4], 4)


def test_they_have_places(person: Person) -> None:
    keys, values = person.scores.keys(), person.scores.values()
    assert (keys[0], keys[-1], keys[1:3], values[0], values[-1], values[::-2]) == ("a", "é", ["b", "c"], 1, 4, [4, 2])
    assert (keys.first(), keys.last(), values.first(), values.last()) == ("a", "é", 1, 4)
    assert (keys.index("c"), values.index(3.0), values.count(3), values.count(7)) == (2, 2, 1, 0)
    for view in (keys, values):
        with pytest.raises(OutOfBoundsError, match=r"index 4 is out of range: there are 4 entries"):
            view[4]
    with pytest.raises(ValueError, match=r"'z' is not in <DictionaryKeys"):
        keys.index("z")
    assert repr(keys) == "<DictionaryKeys ['a', 'b', 'c', 'é'] (4 items)>"
    assert repr(values) == "<DictionaryValues [1, 2, 3, 4] (4 items)>"
    with realm_of(person).write():
        person.scores.clear()
    assert (keys.first(), values.last(), list(keys), keys[:]) == (None, None, [], [])


def test_what_is_equal_is_what_is_equal_to_the_database(person: Person) -> None:
    """1 and 1.0 are one value, 1 and True are two."""
    scores, extra = person.scores.values(), person.extra.values()
    assert (1.0 in scores, True in scores, True in extra, 1 in extra) == (True, False, True, False)
    assert (("t", True) in person.extra.items(), ("t", 1) in person.extra.items()) == (True, False)
    dogs = person.dogs.values()
    rex = person.dogs["x"]
    assert (rex in dogs, None in dogs, dogs.index(rex), Dog(name="Rex") in dogs) == (True, True, 0, False)


def test_values_come_to_something_and_can_be_queried(person: Person) -> None:
    values, dogs = person.scores.values(), person.dogs.values()
    assert (values.min(), values.max(), values.sum(), values.average()) == (1, 4, 10, 2.5)
    assert (dogs.max("age"), dogs.sum("age"), dogs.min("age"), dogs.average("age")) == (3, 4, 1, 2.0)
    assert [dog.name for dog in dogs.where(Dog.age > 1)] == ["Rex"]
    assert [dog.name for dog in dogs.filter("age < 2")] == ["Bo"]
    assert [dog.name for dog in dogs.sort("age")] == ["Bo", "Rex"]
    with pytest.raises(QueryError):
        values.sort("age")
    with pytest.raises(IllegalOperationError):
        dogs.sum()


def test_a_loop_leaves_out_what_is_removed_meanwhile(person: Person) -> None:
    scores = person.scores
    with realm_of(person).write():
        seen = []
        for value in scores.values():
            seen.append(value)
            if value == 1:
                del scores["b"]
                scores["c"] = 30
                scores["d"] = 5
        assert seen == [1, 30, 4]
        for key, _ in scores.items():
            del scores[key]
        assert len(scores) == 0
        scores["a"] = 1
        scores["b"] = 2
        loop = iter(scores.values())
        assert next(loop) == 1
        realm_of(person).delete(person)
        assert list(loop) == []
    for view in (scores.keys(), scores.values(), scores.items()):
        with pytest.raises(InvalidatedObjectError):
            list(view)
        with pytest.raises(InvalidatedObjectError):
            len(view)
    assert repr(scores.values()) == "<DictionaryValues (deleted)>"
    assert not scores.keys().is_valid


def test_they_freeze_and_thaw(person: Person) -> None:
    keys, values = person.scores.keys(), person.scores.values()
    frozen_keys, frozen_values = keys.freeze(), values.freeze()
    assert (keys.is_frozen, frozen_keys.is_frozen, frozen_values.is_frozen) == (False, True, True)
    with realm_of(person).write():
        person.scores.clear()
        with pytest.raises(WrongTransactionStateError):
            keys.freeze()
    seen: list[Any] = []
    thread = Thread(target=lambda: seen.extend((list(frozen_keys), list(frozen_values), frozen_values.sum())))
    thread.start()
    thread.join()
    assert seen == [["a", "b", "c", "é"], [1, 2, 3, 4], 10]
    thawed = frozen_values.thaw()
    assert thawed is not None
    assert list(thawed) == []
    with realm_of(person).write():
        realm_of(person).delete(person)
    assert (frozen_keys.thaw(), frozen_keys.first()) == (None, "a")


def test_they_are_observed_by_place(person: Person) -> None:
    realm, scores = realm_of(person), person.scores
    keys, values, shown = Log(), Log(), []
    with (
        scores.keys().observe(keys),
        scores.values().observe(values),
        scores.values().observe(lambda view, change: shown.append(list(view) if view.is_valid else [])),
    ):
        realm.refresh()
        assert (keys.take(), values.take()) == ([FIRST], [FIRST])

        def told(**entries: int | None) -> tuple[list[Any], list[Any]]:
            with realm.write():
                for key, value in entries.items():
                    if value is None:
                        del scores[key]
                    else:
                        scores[key] = value
            realm.refresh()
            return keys.take(), values.take()

        both = CollectionChange((0,), (2,))
        assert told(a=None, d=9) == ([both], [both])
        assert told(c=7) == ([], [CollectionChange((), (), (1,), (1,))])
        assert told(a=1, c=8) == ([CollectionChange((), (0,))], [CollectionChange((), (0,), (1,), (2,))])
        assert told() == ([], [])
        assert shown[-1] == [1, 2, 8, 9, 4]
        with realm.write():
            scores.clear()
        realm.refresh()
        cleared = CollectionChange((0, 1, 2, 3, 4), cleared=True)
        assert (keys.take(), values.take()) == ([cleared], [cleared])
        told(a=1)
        with realm.write():
            realm.delete(person)
        realm.refresh()
        gone = CollectionChange((0,), root_deleted=True)
        assert (keys.take(), values.take()) == ([gone], [gone])
        realm.refresh()
        assert (keys.take(), values.take()) == ([], [])


def test_values_that_are_objects_are_looked_into(person: Person) -> None:
    realm, log, ages = realm_of(person), Log(), Log()
    names = Log()
    dogs = person.dogs
    with (
        dogs.values().observe(log),
        dogs.values().observe(ages, key_paths=["age"]),
        dogs.keys().observe(names),
    ):
        realm.refresh()
        for each in (log, ages, names):
            each.take()
        with realm.write():
            dogs["x"].age = 9  # type: ignore[union-attr]
        realm.refresh()
        modified = CollectionChange((), (), (0,), (0,))
        assert (log.take(), ages.take(), names.take()) == ([modified], [modified], [])
        with realm.write():
            realm.delete(dogs["y"])  # type: ignore[arg-type]
        realm.refresh()
        assert log.take() == [CollectionChange((), (), (1,), (1,))]  # a link that became null
        assert names.take() == []
    with pytest.raises(InvalidPropertyError, match=r"key paths name properties of objects"):
        person.scores.values().observe(log, key_paths=["age"])


def test_without_change_logs_all_that_stayed_may_have_changed(
    person: Person, open_realm: OpenRealm, monkeypatch: pytest.MonkeyPatch
) -> None:
    realm, other, keys, values = realm_of(person), open_realm(Person, Dog), Log(), Log()
    with person.scores.keys().observe(keys), person.scores.values().observe(values):
        realm.refresh()
        keys.take(), values.take()
        with other.write():
            scores = other.get(Person, "Ann").scores  # type: ignore[union-attr]
            del scores["b"]
            scores["d"] = 1
        monkeypatch.setattr(realm._context.file, "change_logs", lambda after, up_to: None)
        realm.refresh()
        assert keys.take() == [CollectionChange((1,), (2,))]
        assert values.take() == [CollectionChange((1,), (2,), (0, 2, 3), (0, 1, 3))]


def test_they_are_streams_with_frozen_views(tmp_path: Path) -> None:
    async def main() -> None:
        with Realm.open(RealmConfiguration(tmp_path / "test.realm", schema=[Person, Dog])) as realm:
            with realm.write():
                ann = realm.create(Person, name="Ann", scores={"a": 1})
            seen: list[tuple[CollectionChange, list[str]]] = []
            async for change in ann.scores.keys().changes():
                seen.append((change, list(change.collection)))
                assert change.collection.is_frozen
                if change.root_deleted:
                    continue
                with realm.write():
                    if change.initial:
                        ann.scores["b"] = 2
                    else:
                        realm.delete(ann)
            assert seen == [
                (FIRST, ["a"]),
                (CollectionChange((), (1,)), ["a", "b"]),
                (CollectionChange((0, 1), root_deleted=True), []),
            ]

    asyncio.run(asyncio.wait_for(main(), 60))


STEPS = st.lists(st.tuples(st.sampled_from("abcdé"), st.one_of(st.none(), st.integers(0, 3))), max_size=6)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(STEPS, min_size=1, max_size=4))
def test_mirrors_follow(person: Person, rounds: list[list[tuple[str, int | None]]]) -> None:
    realm, scores = realm_of(person), person.scores
    mirrors: list[list[Any]] = [list(scores.keys()), list(scores.values())]

    def follow(mirror: list[Any], view: Any, change: CollectionChange) -> None:
        for index in reversed(change.deletions):
            del mirror[index]
        for index in change.insertions:
            mirror.insert(index, view[index])
        for index in change.modifications_new:
            mirror[index] = view[index]
        assert mirror == list(view)

    views: tuple[Any, Any] = (scores.keys(), scores.values())
    tokens = [
        view.observe(lambda view, change, mirror=mirror: follow(mirror, view, change))
        for view, mirror in zip(views, mirrors, strict=True)
    ]
    realm.refresh()
    for steps in rounds:
        with realm.write():
            for key, value in steps:
                if value is None:
                    scores.pop(key, None)
                else:
                    scores[key] = value
        realm.refresh()
        assert mirrors == [list(scores.keys()), list(scores.values())]
    for token in tokens:
        token.invalidate()
