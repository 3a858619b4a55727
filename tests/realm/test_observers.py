"""Observers are told what changed (spec/sdk.md §9)."""

from __future__ import annotations

import gc
import os
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.realm.conftest import OpenRealm
from tests.realm.told import Log

from syncline import (
    CollectionChange,
    Counter,
    Dictionary,
    DictionaryChange,
    EmbeddedModel,
    Field,
    InvalidPropertyError,
    List,
    Model,
    NotificationToken,
    ObjectChange,
    Realm,
    Set,
    UpdateMode,
    WrongTransactionStateError,
)
from syncline.realm.observers import CHANGE
from syncline.storage import evolution
from syncline.storage.changes import LIST_ERASE, LIST_INSERT, UNKNOWN


class Tag(EmbeddedModel):
    text: str = ""


class Dog(Model):
    name: str = Field(primary_key=True)
    age: int | None = None
    weight: float = Field(0.0, name="kg")
    best: Dog | None
    friends: List[Dog]
    numbers: List[int]
    colours: Set[str]
    scores: Dictionary[int]
    tag: Tag | None
    extra: Any
    visits: Counter = 0  # type: ignore[assignment]


@pytest.fixture
def realm(open_realm: OpenRealm) -> Realm:
    opened = open_realm(Dog, Tag)
    with opened.write():
        for name, age in (("a", 1), ("b", 2), ("c", 3), ("d", 4)):
            opened.create(Dog, name=name, age=age)
    return opened


def dog(realm: Realm, name: str) -> Dog:
    found = realm.get(Dog, name)
    assert found is not None
    return found


def started(token: NotificationToken, realm: Realm, log: Log, initial: Any = None) -> NotificationToken:
    """After the first call of a new observer."""
    assert log.take() == []
    realm.refresh()
    assert log.take() == ([] if initial is None else [initial])
    return token


FIRST = CollectionChange(initial=True)

# --- results ----------------------------------------------------------------------------------------------------------


def test_results(realm: Realm) -> None:
    log = Log()
    with started(realm.objects(Dog).observe(log), realm, log, FIRST):
        with realm.write():
            dog(realm, "b").age = 9
            realm.delete(dog(realm, "a"))
            realm.create(Dog, name="e")
        assert log.take() == []
        realm.refresh()
        assert log.take() == [CollectionChange((0,), (3,), (1,), (0,))]
        realm.refresh()
        assert log.take() == []


def test_filtered_and_sorted_results(realm: Realm) -> None:
    log, sorted_log = Log(), Log()
    dogs = realm.objects(Dog).where(Dog.age > 1)
    with (
        started(dogs.observe(log), realm, log, FIRST),
        started(dogs.sort("age").observe(sorted_log), realm, sorted_log, FIRST),
    ):
        with realm.write():
            dog(realm, "a").age = 7
            dog(realm, "b").age = 0
            dog(realm, "c").age = 5
        realm.refresh()
        assert log.take() == [CollectionChange((0,), (0,), (1,), (1,))]
        assert sorted_log.take() == [CollectionChange((0, 1), (1, 2), (), (), ((1, 1),))]


def test_changes_that_do_not_matter_are_not_told(realm: Realm, open_realm: OpenRealm) -> None:
    other, log = open_realm(Dog, Tag), Log()
    with started(realm.objects(Dog).where(Dog.age > 100).observe(log), realm, log, FIRST):
        with realm.write():
            dog(realm, "a").age = 7
        realm.refresh()
        with other.write():
            rex = other.create(Dog, name="Rex", age=500)
        with other.write():
            other.delete(rex)
        realm.refresh()
        with realm.write() as transaction:
            realm.create(Dog, name="Rex", age=500)
            transaction.cancel()
        realm.refresh()
        assert log.take() == []


def test_several_commits_are_one_change(realm: Realm, open_realm: OpenRealm) -> None:
    other, log = open_realm(Dog, Tag), Log()
    with started(realm.objects(Dog).observe(log), realm, log, FIRST):
        for name in "xyz":
            with other.write():
                other.create(Dog, name=name)
        with other.write():
            other.delete(dog(other, "y"))
        assert realm.refresh()
        assert log.take() == [CollectionChange(insertions=(4, 5))]


def test_the_first_call_shows_the_latest_state(realm: Realm) -> None:
    log = Log()
    token = realm.objects(Dog).observe(lambda dogs, change: log(dogs, (change, len(dogs))))
    with realm.write():
        realm.create(Dog, name="x")
    assert log.take() == [(FIRST, 4)]
    realm.refresh()
    assert log.take() == [(CollectionChange(insertions=(4,)), 5)]
    token.invalidate()


def test_changes_up_to_three_links_away_count(realm: Realm) -> None:
    with realm.write():
        a, b, c, d = (dog(realm, name) for name in "abcd")
        e = realm.create(Dog, name="e", best=d)
        a.friends.append(b)
        b.extra = {"deep": [c]}
        c.best = d
        d.best = e
        e.best = a
    log = Log()
    with started(realm.objects(Dog).where(Dog.name == "a").observe(log), realm, log, FIRST):
        for name, told in (("b", True), ("c", True), ("d", True), ("e", False)):
            with realm.write():
                dog(realm, name).age = 50
            realm.refresh()
            assert log.take() == ([CollectionChange((), (), (0,), (0,))] if told else []), name


def test_changes_in_embedded_objects_count(realm: Realm) -> None:
    with realm.write():
        dog(realm, "a").tag = Tag(text="x")
    log = Log()
    with started(realm.objects(Dog).observe(log), realm, log, FIRST):
        with realm.write():
            dog(realm, "a").tag.text = "y"  # type: ignore[union-attr]
        realm.refresh()
        assert log.take() == [CollectionChange((), (), (0,), (0,))]


def test_equal_assignments_count_and_counters_too(realm: Realm) -> None:
    log = Log()
    with started(realm.objects(Dog).observe(log), realm, log, FIRST):
        with realm.write():
            dog(realm, "a").age = dog(realm, "a").age
        realm.refresh()
        assert log.take() == [CollectionChange((), (), (0,), (0,))]
        with realm.write():
            dog(realm, "b").visits.increment()
        realm.refresh()
        assert log.take() == [CollectionChange((), (), (1,), (1,))]


def test_results_over_links_follow_the_links(realm: Realm) -> None:
    log = Log()
    results = realm.objects(Dog).where(Dog.best.age > 100)
    with realm.write():
        dog(realm, "a").best = dog(realm, "d")
    with started(results.observe(log), realm, log, FIRST):
        with realm.write():
            dog(realm, "d").age = 500
        realm.refresh()
        assert log.take() == [CollectionChange(insertions=(0,))]
        with realm.write():
            realm.delete(dog(realm, "d"))
        realm.refresh()
        assert log.take() == [CollectionChange(deletions=(0,))]


# --- objects ----------------------------------------------------------------------------------------------------------


def test_objects(realm: Realm) -> None:
    log = Log()
    a = dog(realm, "a")
    with started(a.observe(log), realm, log):
        with realm.write():
            a.age = 5
            a.weight = 2.5
            a.numbers.append(1)
            a.extra = {"k": [1]}
            dog(realm, "b").age = 7
        realm.refresh()
        assert log.take() == [ObjectChange(changed=("age", "weight", "numbers", "extra"))]
        with realm.write():
            a.extra["k"].append(2)
            a.scores["x"] = 1
            a.colours.add("red")
        realm.refresh()
        assert log.take() == [ObjectChange(changed=("colours", "scores", "extra"))]
        with realm.write():
            dog(realm, "b").age = 8
        realm.refresh()
        assert log.take() == []
        with realm.write():
            realm.delete(a)
        realm.refresh()
        assert log.take() == [ObjectChange(deleted=True)]
        with realm.write():
            realm.create(Dog, name="a")
        realm.refresh()
        assert log.take() == []


def test_objects_ignore_what_their_links_lead_to(realm: Realm) -> None:
    log = Log()
    with realm.write():
        dog(realm, "a").best = dog(realm, "b")
    with started(dog(realm, "a").observe(log), realm, log):
        with realm.write():
            dog(realm, "b").age = 77
        realm.refresh()
        assert log.take() == []


def test_what_was_written_before_is_no_news(realm: Realm) -> None:
    others, log = Log(), Log()
    with started(realm.objects(Dog).observe(others), realm, others, FIRST):
        a = dog(realm, "a")
        with realm.write():
            a.age = 50
        with a.observe(log):
            realm.refresh()
            assert (len(others.take()), log.take()) == (1, [])
            with realm.write():
                a.age = 51
            realm.refresh()
            assert log.take() == [ObjectChange(changed=("age",))]


# --- collections ------------------------------------------------------------------------------------------------------


def test_lists(realm: Realm) -> None:
    a, log = dog(realm, "a"), Log()
    with realm.write():
        a.numbers = [1, 2, 3, 4]  # type: ignore[assignment]
    with started(a.numbers.observe(log), realm, log, FIRST):
        with realm.write():
            a.numbers.insert(1, 9)
            del a.numbers[0]
            a.numbers[2] = 33
        realm.refresh()
        assert log.take() == [CollectionChange((0,), (0,), (2,), (2,))]
        with realm.write():
            a.numbers.move(0, 3)
        realm.refresh()
        assert log.take() == [CollectionChange((0,), (3,), (), (), ((0, 3),))]
        with realm.write():
            a.numbers.clear()
        realm.refresh()
        assert log.take() == [CollectionChange((0, 1, 2, 3), cleared=True)]
        with realm.write():
            a.numbers.append(1)
        with realm.write():
            realm.delete(a)
        realm.refresh()
        assert log.take()[-1].root_deleted
        assert log.take() == []


def test_lists_of_objects(realm: Realm) -> None:
    a, log = dog(realm, "a"), Log()
    with realm.write():
        a.friends = [dog(realm, "b"), dog(realm, "c")]  # type: ignore[assignment]
    with started(a.friends.observe(log), realm, log, FIRST):
        with realm.write():
            dog(realm, "c").age = 100
            a.friends.insert(0, dog(realm, "d"))
        realm.refresh()
        assert log.take() == [CollectionChange((), (0,), (1,), (2,))]
        with realm.write():
            realm.delete(dog(realm, "b"))
        realm.refresh()
        assert log.take() == [CollectionChange((1,))]


def test_lists_inside_mixed_values(realm: Realm) -> None:
    a, log = dog(realm, "a"), Log()
    with realm.write():
        a.extra = [1, [2, 3]]
    with started(a.extra[1].observe(log), realm, log, FIRST):
        with realm.write():
            a.extra[1].append(4)
        realm.refresh()
        assert log.take() == [CollectionChange(insertions=(2,))]
        with realm.write():
            a.extra = None
        realm.refresh()
        assert log.take() == [CollectionChange((0, 1, 2), root_deleted=True)]


def test_results_of_a_list(realm: Realm) -> None:
    a, log = dog(realm, "a"), Log()
    with realm.write():
        a.friends = [dog(realm, "d"), dog(realm, "b"), dog(realm, "d")]  # type: ignore[assignment]
    with started(a.friends.where(Dog.age > 1).observe(log), realm, log, FIRST):
        with realm.write():
            a.friends.append(dog(realm, "c"))
            dog(realm, "d").age = 40
        realm.refresh()
        assert log.take() == [CollectionChange((), (3,), (0, 2), (0, 2))]
        with realm.write():
            realm.delete(a)
        realm.refresh()
        assert log.take() == [CollectionChange((0, 1, 2, 3), root_deleted=True)]


def test_sets(realm: Realm) -> None:
    a, log = dog(realm, "a"), Log()
    with realm.write():
        a.colours = {"b", "d"}  # type: ignore[assignment]
    with started(a.colours.observe(log), realm, log, FIRST):
        with realm.write():
            a.colours.add("c")
            a.colours.discard("b")
        realm.refresh()
        assert log.take() == [CollectionChange((0,), (0,))]
        with realm.write():
            realm.delete(a)
        realm.refresh()
        assert log.take() == [CollectionChange((0, 1), root_deleted=True)]


def test_dictionaries(realm: Realm) -> None:
    a, log = dog(realm, "a"), Log()
    with realm.write():
        a.scores = {"x": 1, "y": 2, "z": 3}  # type: ignore[assignment]
    with started(a.scores.observe(log), realm, log, DictionaryChange(initial=True)):
        with realm.write():
            a.scores["w"] = 0
            a.scores["y"] = 5
            del a.scores["z"]
        realm.refresh()
        assert log.take() == [DictionaryChange(("z",), ("w",), ("y",))]
        with realm.write():
            realm.delete(a)
        realm.refresh()
        assert log.take() == [DictionaryChange(("w", "x", "y"), root_deleted=True)]


# --- key paths --------------------------------------------------------------------------------------------------------


def test_key_paths_limit_what_counts(realm: Realm) -> None:
    with realm.write():
        a, b, c = (dog(realm, name) for name in "abc")
        a.best, b.best = b, c
    log, deep, star, none = Log(), Log(), Log(), Log()
    results = realm.objects(Dog).where(Dog.name == "a")
    tokens = [
        results.observe(log, key_paths=["age", "weight"]),
        results.observe(deep, key_paths=["best.best.age"]),
        results.observe(star, key_paths=["*.age"]),
        results.observe(none, key_paths=[]),
    ]
    realm.refresh()
    for each in (log, deep, star, none):
        each.take()

    def told(change: Any) -> tuple[int, ...]:
        with realm.write():
            change()
        realm.refresh()
        return tuple(len(each.take()) for each in (log, deep, star, none))

    assert told(lambda: setattr(a, "weight", 2.0)) == (1, 0, 0, 0)
    assert told(lambda: setattr(a, "best", b)) == (0, 1, 1, 0)
    assert told(lambda: setattr(b, "best", c)) == (0, 1, 0, 0)
    assert told(lambda: setattr(b, "age", 1)) == (0, 0, 1, 0)
    assert told(lambda: setattr(c, "age", 1)) == (0, 1, 0, 0)
    assert told(lambda: realm.delete(a)) == (1, 1, 1, 1)
    for token in tokens:
        token.invalidate()


def test_key_paths_of_collections(realm: Realm) -> None:
    a, b, log, scores = dog(realm, "a"), dog(realm, "b"), Log(), Log()
    with realm.write():
        a.friends.append(b)
        a.scores["x"] = 1
    with (
        started(a.friends.observe(log, key_paths=["weight"]), realm, log, FIRST),
        started(a.scores.observe(scores, key_paths=[]), realm, scores, DictionaryChange(initial=True)),
    ):
        for name, told in (("age", []), ("weight", [CollectionChange((), (), (0,), (0,))])):
            with realm.write():
                setattr(b, name, 50)
            realm.refresh()
            assert log.take() == told


def test_every_part_of_a_query_is_watched(realm: Realm) -> None:
    dogs = realm.objects(Dog)
    conditions = [
        (Dog.age == 77) & (Dog.name == "a"),
        (Dog.age == 77) | (Dog.name == "zzz"),
        ~(Dog.age != 77),
        Dog.age.in_([77]),
        Dog.age.between(77, 78),
        Dog.age == Dog.visits,
    ]
    logs = [Log() for _ in conditions]
    tokens = [dogs.where(condition).observe(log) for condition, log in zip(conditions, logs, strict=True)]
    tokens.append(dogs.where(Dog.numbers.count() == 1).distinct("age").observe(last := Log()))
    realm.refresh()
    for log in (*logs, last):
        assert log.take() == [FIRST]
    with realm.write():
        dog(realm, "a").age = 77
        dog(realm, "a").visits.increment(77)
        dog(realm, "a").numbers.append(1)
    realm.refresh()
    for log in (*logs, last):
        assert log.take() == [CollectionChange(insertions=(0,))]
    for token in tokens:
        token.invalidate()


def test_operations_that_are_not_known_replace_everything(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    a, log = dog(realm, "a"), Log()
    with realm.write():
        a.numbers = [1, 2]  # type: ignore[assignment]
    with started(a.numbers.observe(log), realm, log, FIRST):
        for operations in ([(UNKNOWN, 0, 0)], [(LIST_ERASE, 9, 0)], [(LIST_INSERT, 0, 0)] * 5):
            with realm.write():
                a.numbers.append(3)
            pending = realm._context.pending[-1]
            assert pending is not None
            (place,) = pending.lists
            pending.lists[place] = operations
            size = len(a.numbers)
            realm.refresh()
            assert log.take() == [CollectionChange(tuple(range(size - 1)), tuple(range(size)))]


def test_key_paths_of_objects_name_their_first_element(realm: Realm) -> None:
    a, b, log = dog(realm, "a"), dog(realm, "b"), Log()
    with realm.write():
        a.best = b
    with started(a.observe(log, key_paths=["best.age", "weight", "*.name"]), realm, log):
        with realm.write():
            b.age = 5
            a.age = 6
        realm.refresh()
        assert log.take() == [ObjectChange(changed=("best",))]
        with realm.write():
            a.weight = 6.0
        realm.refresh()
        assert log.take() == [ObjectChange(changed=("weight",))]


def test_key_paths_that_lead_nowhere(realm: Realm) -> None:
    dogs = realm.objects(Dog)
    for path, message in (
        ("agee", "Dog has no property 'agee': did you mean 'age'?"),
        ("best.agee", "Dog has no property 'agee'"),
        ("age.best", "key path 'age.best': 'age' is no link, so nothing can follow it"),
    ):
        with pytest.raises(InvalidPropertyError, match=message):
            dogs.observe(lambda dogs, change: None, key_paths=[path])
    with pytest.raises(InvalidPropertyError, match=r"key_paths is a list of paths, not one text"):
        dogs.observe(lambda dogs, change: None, key_paths="age")  # type: ignore[arg-type]


# --- rounds -----------------------------------------------------------------------------------------------------------


def test_a_write_transaction_tells_first(realm: Realm, open_realm: OpenRealm) -> None:
    other, log = open_realm(Dog, Tag), Log()
    with started(realm.objects(Dog).observe(log), realm, log, FIRST):
        with other.write():
            other.create(Dog, name="x")
        with realm.write():
            assert log.take() == [CollectionChange(insertions=(4,))]
            realm.create(Dog, name="y")
        assert log.take() == []
        realm.refresh()
        assert log.take() == [CollectionChange(insertions=(5,))]


def test_tokens_end_observers(realm: Realm) -> None:
    log = Log()
    token = realm.objects(Dog).observe(log)
    assert token.is_valid
    token.invalidate()
    assert not token.is_valid
    realm.refresh()
    with pytest.warns(ResourceWarning, match=r"a NotificationToken was dropped and its observer stopped"):
        drop(realm.objects(Dog).observe(log))
    realm.refresh()
    assert log.take() == []


def drop(*_: object) -> None:
    """Forget the arguments."""
    gc.collect()


def test_a_token_invalidated_in_a_round_stops_at_once(realm: Realm) -> None:
    tokens: list[NotificationToken] = []
    calls: list[str] = []

    def first(dogs: Any, change: Any) -> None:
        calls.append("first")
        tokens[1].invalidate()

    tokens.append(realm.objects(Dog).observe(first))
    tokens.append(realm.objects(Dog).observe(lambda dogs, change: calls.append("second")))
    realm.refresh()
    assert calls == ["first"]
    tokens[0].invalidate()


def test_an_exception_does_not_stop_the_round(realm: Realm) -> None:
    log = Log()

    def failing(dogs: Any, change: Any) -> None:
        raise ValueError("oops")

    with realm.objects(Dog).observe(failing), realm.objects(Dog).observe(log):
        with pytest.raises(ValueError, match=r"oops"):
            realm.refresh()
        assert log.take() == [FIRST]
        realm.refresh()
        with realm.write():
            realm.create(Dog, name="x")
        with pytest.raises(ValueError, match=r"oops"):
            realm.begin_write()
        assert not realm.in_write
        assert log.take() == [CollectionChange(insertions=(4,))]


def test_writing_and_observing_inside_a_callback(realm: Realm) -> None:
    log, late = Log(), Log()
    tokens: list[NotificationToken] = []

    def writing(dogs: Any, change: CollectionChange) -> None:
        assert not realm.refresh()
        if change.insertions and len(dogs) < 7:
            with realm.write():
                realm.create(Dog, name=f"x{len(dogs)}")
            tokens.append(dogs.observe(late))

    with realm.objects(Dog).observe(writing), realm.objects(Dog).observe(log):
        realm.refresh()
        with realm.write():
            realm.create(Dog, name="x")
        realm.refresh()
        assert log.take() == [FIRST, CollectionChange(insertions=(4,))]
        assert late.take() == []
        realm.refresh()
        realm.refresh()
        assert len(realm.objects(Dog)) == 7
        assert [change.insertions for change in log.take()] == [(5,), (6,)]
        assert late.take()[0] == FIRST
    for token in tokens:
        token.invalidate()


def test_closing_inside_a_callback_ends_the_round(realm: Realm) -> None:
    log = Log()
    with realm.objects(Dog).observe(lambda dogs, change: realm.close()), realm.objects(Dog).observe(log):
        realm.refresh()
    assert log.take() == []


def test_observers_are_not_added_inside_a_write(realm: Realm) -> None:
    a = dog(realm, "a")
    with realm.write():
        for add in (a.observe, realm.objects(Dog).observe, a.friends.observe, a.colours.observe, a.scores.observe):
            with pytest.raises(
                WrongTransactionStateError, match=r"observers cannot be added inside a write transaction"
            ):
                add(lambda observed, change: None)


def test_realm_observers(realm: Realm, open_realm: OpenRealm) -> None:
    other = open_realm(Dog, Tag)
    events: list[str] = []
    with realm.observe(lambda realm, event: events.append(event)):
        with realm.write():
            realm.create(Dog, name="x")
        assert events == [CHANGE]
        with other.write():
            other.create(Dog, name="y")
        assert events == [CHANGE]
        realm.refresh()
        assert events == [CHANGE, CHANGE]
        with realm.write():
            pass
    with realm.write():
        realm.create(Dog, name="z")
    assert events == [CHANGE, CHANGE]


def test_a_cancelled_write_is_no_news(realm: Realm, open_realm: OpenRealm) -> None:
    other, log = open_realm(Dog, Tag), Log()
    with started(realm.objects(Dog).observe(log), realm, log, FIRST):
        with realm.write() as transaction:
            dog(realm, "a").age = 50
            transaction.cancel()
        realm.refresh()
        assert log.take() == []
        with pytest.raises(ZeroDivisionError), realm.write():
            dog(realm, "a").age = 1 // 0
        with other.write():
            dog(other, "b").age = 50
        realm.refresh()
        assert log.take() == [CollectionChange((), (), (1,), (1,))]


def test_invalidating_loses_nothing(realm: Realm, open_realm: OpenRealm) -> None:
    other, log = open_realm(Dog, Tag), Log()
    with started(realm.objects(Dog).observe(log), realm, log, FIRST):
        with other.write():
            other.create(Dog, name="x")
        realm.invalidate()
        assert len(realm.objects(Dog)) == 5
        realm.refresh()
        assert log.take() == [CollectionChange(insertions=(4,))]


def test_exceptions_of_realm_observers_do_not_undo_the_commit(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", reported.append)
    with realm.observe(lambda realm, event: 1 / 0), realm.write():
        realm.create(Dog, name="x")
    assert realm.get(Dog, "x") is not None
    assert isinstance(reported[0].exc_value, ZeroDivisionError)
    assert reported[0].err_msg == "an observer of a Realm raised an exception"


def test_without_logs_the_whole_is_compared(
    realm: Realm, open_realm: OpenRealm, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, log, one, numbers = open_realm(Dog, Tag), Log(), Log(), Log()
    a = dog(realm, "a")
    with (
        started(realm.objects(Dog).observe(log), realm, log, FIRST),
        started(a.observe(one), realm, one),
        started(a.numbers.observe(numbers), realm, numbers, FIRST),
    ):
        with other.write():
            other.create(Dog, name="x")
            dog(other, "a").numbers.append(1)
        monkeypatch.setattr(realm._context.file, "change_logs", lambda after, up_to: None)
        realm.refresh()
        assert log.take() == [CollectionChange((), (4,), (0, 1, 2, 3), (0, 1, 2, 3))]
        assert "age" in one.take()[0].changed
        assert numbers.take() == [CollectionChange(insertions=(0,))]


# --- whatever is written, a mirror stays right ------------------------------------------------------------------------

STEP = st.one_of(
    st.tuples(st.just("create"), st.integers(0, 9)),
    st.tuples(st.just("delete"), st.integers(0, 9)),
    st.tuples(st.just("age"), st.integers(0, 9), st.integers(0, 9)),
    st.tuples(st.just("insert"), st.integers(0, 9), st.integers(0, 9)),
    st.tuples(st.just("replace"), st.integers(0, 9), st.integers(0, 9)),
    st.tuples(st.just("move"), st.integers(0, 9), st.integers(0, 9)),
    st.tuples(st.just("remove"), st.integers(0, 9)),
    st.tuples(st.just("clear")),
    st.tuples(st.just("commit")),
)


class Mirror:
    """A copy of what is observed, kept up to date by change sets alone."""

    def __init__(self, observed: Any) -> None:
        self.copy = self.shown(observed)
        self.token = observed.observe(self)

    def shown(self, observed: Any) -> list[tuple[str, int | None]]:
        return [(each.name, each.age) for each in observed]

    def __call__(self, observed: Any, change: CollectionChange) -> None:
        new = self.shown(observed)
        for index in reversed(change.deletions):
            del self.copy[index]
        for index in change.insertions:
            self.copy.insert(index, new[index])
        for index in change.modifications_new:
            self.copy[index] = new[index]
        assert self.copy == new, change


def carry_out(realm: Realm, owner: Dog, step: tuple[Any, ...]) -> None:
    """One random step in the open write transaction."""
    kind, *numbers = step
    others = realm.objects(Dog).where(Dog.name != "owner")
    friends = owner.friends
    if kind == "commit":
        realm.commit_write()
        realm.begin_write()
    elif kind == "create":
        realm.create(Dog, name=str(len(realm.objects(Dog))) + str(numbers[0]), age=numbers[0], update=UpdateMode.ALL)
    elif kind == "clear":
        friends.clear()
    elif kind in ("delete", "age", "insert", "replace") and len(others) > 0:
        dog = others[numbers[0] % len(others)]
        if kind == "delete":
            realm.delete(dog)
        elif kind == "age":
            dog.age = numbers[1]
        elif kind == "insert":
            friends.insert(numbers[1] % (len(friends) + 1), dog)
        elif len(friends) > 0:
            friends[numbers[1] % len(friends)] = dog
    elif kind == "move" and len(friends) > 0:
        friends.move(numbers[0] % len(friends), numbers[1] % len(friends))
    elif kind == "remove" and len(friends) > 0:
        del friends[numbers[0] % len(friends)]


@settings(
    max_examples=int(os.environ.get("SYNCLINE_EXAMPLES", "15")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rounds=st.lists(st.lists(STEP, max_size=8), min_size=1, max_size=4), elsewhere=st.booleans())
def test_mirrors_follow(open_realm: OpenRealm, rounds: list[list[tuple[Any, ...]]], elsewhere: bool) -> None:
    name = str(uuid4())
    realm = open_realm(Dog, Tag, path=None, in_memory=name)
    writer = open_realm(Dog, Tag, path=None, in_memory=name) if elsewhere else realm
    with realm.write():
        owner = realm.create(Dog, name="owner")
        for letter in "abc":
            owner.friends.append(realm.create(Dog, name=letter, age=ord(letter) % 7))
    mirrors = [
        Mirror(realm.objects(Dog)),
        Mirror(realm.objects(Dog).where(Dog.age > 4)),
        Mirror(realm.objects(Dog).sort("age")),
        Mirror(realm.objects(Dog).sort("age", descending=True).limit(3)),
        Mirror(realm.objects(Dog).distinct("age")),
        Mirror(owner.friends),
        Mirror(owner.friends.where(Dog.age < 6)),
        Mirror(owner.friends.sort("age")),
    ]
    realm.refresh()
    for steps in rounds:
        with writer.write():
            for step in steps:
                carry_out(writer, dog(writer, "owner"), step)
        realm.refresh()
    for mirror in mirrors:
        mirror.token.invalidate()
    writer.close()
    realm.close()


def test_a_property_made_anew_changes_who_matches(open_realm: OpenRealm, realm: Realm) -> None:
    log = Log()
    other = open_realm(Dog, Tag)
    with realm.objects(Dog).filter("age > 2").observe(log):
        realm.refresh()
        log.take()
        with other.write():  # as a server's schema may, through sync
            tx = other._context.tx
            assert tx is not None
            dog = tx.catalogue.classes["Dog"]
            age = dog.properties["age"]
            evolution.erase_property(tx.workspace, dog, age)
            now = tx.workspace.info(dog.id)
            evolution.add_property(tx.workspace, now, "age", age.type, age.nullable, age.collection, None, 0)
        realm.refresh()
        assert [change.deletions for change in log.take()] == [(0, 1)]


def test_a_removed_class(open_realm: OpenRealm, realm: Realm) -> None:
    """Its observers are told that everything went, and stand in nobody's way."""
    path = realm.path
    realm.close()
    owner, watcher = Realm.open(path), Realm.open(path)
    with owner, watcher:
        dogs, log = watcher.objects("Dog"), Log()
        sections = dogs.sectioned("name")
        with dogs.observe(log), sections.observe(log, key_paths=["age"]), dogs[0].observe(log):
            watcher.refresh()
            log.take()
            with owner.write():
                tx = owner._context.tx
                assert tx is not None
                evolution.erase_class(tx.workspace, tx.catalogue.classes["Dog"], True)
            watcher.refresh()
            whole, sectioned, one = log.take()
            assert (whole.deletions, sectioned.sections_deleted, one.deleted) == ((0, 1, 2, 3), (0, 1, 2, 3), True)
            with watcher.write():
                pass
        assert not log.changes
