"""A commit that some observers know of already (spec/sdk.md §5.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.realm.conftest import OpenRealm
from tests.realm.told import Log

from syncline import (
    CollectionChange,
    Dictionary,
    DictionaryChange,
    Field,
    IllegalOperationError,
    List,
    Model,
    NotificationToken,
    ObjectChange,
    Realm,
    Set,
)
from syncline.realm.observers import CHANGE


class Dog(Model):
    name: str = Field(primary_key=True)
    age: int = 0
    friends: List[Dog]
    colours: Set[str]
    scores: Dictionary[int]


@pytest.fixture
def realm(open_realm: OpenRealm) -> Realm:
    opened = open_realm(Dog)
    with opened.write():
        for name in "bd":
            opened.create(Dog, name=name)
    return opened


def started(realm: Realm, observe: Callable[[Any], NotificationToken]) -> tuple[Log, NotificationToken]:
    log = Log()
    token = observe(log)
    realm.refresh()
    log.take()
    return log, token


def test_own_commit_is_left_out_and_a_foreign_one_after_it_is_right(realm: Realm, open_realm: OpenRealm) -> None:
    other = open_realm(Dog)
    dogs = realm.objects(Dog).sort("name")
    log, token = started(realm, dogs.observe)
    told, another = started(realm, dogs.observe)
    with token, another:
        with realm.write(without_notifying=[token]):
            realm.create(Dog, name="a")
        with other.write():
            other.create(Dog, name="c")
            other.objects(Dog).where(Dog.name == "d").update(age=1)
        realm.refresh()
        assert log.take() == [CollectionChange((), (2,), (2,), (3,))]
        assert told.take() == [CollectionChange((), (0, 2), (1,), (3,))]
        with realm.write():
            realm.delete_all()
        realm.refresh()
        assert log.take() == told.take() == [CollectionChange((0, 1, 2, 3))]


def test_what_others_did_before_is_told_before(realm: Realm, open_realm: OpenRealm) -> None:
    other = open_realm(Dog)
    log, token = started(realm, realm.objects(Dog).observe)
    with token:
        with other.write():
            other.create(Dog, name="x")
        with realm.write(without_notifying=[token]):
            assert log.take() == [CollectionChange(insertions=(2,))]
            realm.create(Dog, name="y")
        realm.refresh()
        assert log.take() == []


def test_every_kind_of_observer(realm: Realm) -> None:
    b = realm.objects(Dog)[0]
    pairs = [
        started(realm, each.observe)
        for each in (b, b.friends, b.colours, b.scores, realm.objects(Dog).where(Dog.age > 3))
    ]
    events, realm_token = started(realm, realm.observe)
    tokens = [token for _, token in pairs]
    for quiet in (True, False):
        realm.begin_write()
        b.age += 5
        b.friends.append(b)
        b.colours.add("red" if quiet else "blue")
        b.scores[f"{quiet}"] = 1
        realm.commit_write(without_notifying=[*tokens, realm_token] if quiet else [])
        realm.refresh()
        assert events.take() == ([] if quiet else [CHANGE])
        if quiet:
            assert [log.take() for log, _ in pairs] == [[]] * 5
    changes = [log.take() for log, _ in pairs]
    assert changes == [
        [ObjectChange(changed=("age", "friends", "colours", "scores"))],
        [CollectionChange((), (1,), (0,), (0,))],
        [CollectionChange((), (0,))],
        [DictionaryChange((), ("False",))],
        [CollectionChange((), (), (0,), (0,))],
    ]
    assert (changes[0][0].old("age"), changes[0][0].new("age")) == (5, 10)
    for token in (*tokens, realm_token):
        token.invalidate()


def test_the_end_of_the_observed_ends_the_observer(realm: Realm) -> None:
    b = realm.objects(Dog)[0]
    log, token = started(realm, b.observe)
    with realm.write(without_notifying=[token]):
        realm.delete(b)
    assert not token.is_valid
    realm.refresh()
    assert log.take() == []


def test_a_first_call_is_not_left_out(realm: Realm) -> None:
    log = Log()
    realm.begin_write()
    realm.cancel_write()
    inner: list[NotificationToken] = []

    def observe(dogs: Any, change: CollectionChange) -> None:
        if not inner:
            inner.append(dogs.observe(log))
            with realm.write(without_notifying=inner):
                realm.create(Dog, name="x")

    with realm.objects(Dog).observe(observe):
        realm.refresh()
        realm.refresh()
        assert log.take() == [CollectionChange(initial=True)]
    inner[0].invalidate()


def test_in_a_callback_nothing_untold_is_left_out(realm: Realm) -> None:
    """The first commit of the callback was not told yet, so the second is told with it."""
    log, token = started(realm, realm.objects(Dog).observe)

    def write_twice(dogs: Any, change: CollectionChange) -> None:
        if change.initial:
            with realm.write():
                realm.create(Dog, name="x")
            with realm.write(without_notifying=[token]):
                realm.create(Dog, name="y")

    with token, realm.objects(Dog).observe(write_twice):
        realm.refresh()
        realm.refresh()
        assert log.take() == [CollectionChange(insertions=(2, 3))]


def test_tokens_must_be_of_the_realm(realm: Realm, open_realm: OpenRealm) -> None:
    other = open_realm(Dog)
    with other.objects(Dog).observe(Log()) as token:
        for foreign in (token, NotificationToken()):
            with pytest.raises(IllegalOperationError, match=r"tokens of observers of the same Realm"):
                realm.write(without_notifying=[foreign]).__enter__()
            foreign.invalidate()
        assert not realm.in_write
        with other.write(without_notifying=[token]):  # one that ended already is left out anyway
            other.create(Dog, name="x")
