"""ThreadSafeReference (spec/sdk.md §4.5)."""

from __future__ import annotations

import gc
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.realm.conftest import OpenRealm

from syncline import (
    Dictionary,
    Field,
    IllegalOperationError,
    InvalidatedObjectError,
    List,
    Model,
    Realm,
    Set,
    ThreadSafeReference,
    TypeMismatchError,
    WrongTransactionStateError,
)


class Dog(Model):
    name: str = Field(primary_key=True)
    age: int = 0
    friends: List["Dog"]  # noqa: UP037 - the class itself
    nicknames: Set[str]
    scores: Dictionary[int]


def kennel(open_realm: OpenRealm) -> tuple[Realm, Dog]:
    realm = open_realm(Dog)
    with realm.write():
        bo = realm.create(Dog, name="Bo")
        rex = realm.create(Dog, name="Rex", age=3, friends=[bo], nicknames={"R"}, scores={"a": 1})
    return realm, rex


def elsewhere(path: str, action: Callable[[Realm], Any]) -> Any:
    """What it returns on another thread, with a Realm of its own."""
    found: list[Any] = []

    def run() -> None:
        with Realm.open(path, schema=[Dog]) as realm:
            found.append(action(realm))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def names(dogs: Any) -> list[str]:
    return [dog.name for dog in dogs]


KINDS: dict[str, tuple[Callable[[Realm, Dog], Any], Callable[[Any], Any], Any]] = {
    "object": (lambda realm, rex: rex, lambda dog: dog.age, 3),
    "list": (lambda realm, rex: rex.friends, names, ["Bo"]),
    "set": (lambda realm, rex: rex.nicknames, set, {"R"}),
    "dictionary": (lambda realm, rex: rex.scores, dict, {"a": 1}),
    "results": (lambda realm, rex: realm.objects(Dog).where(Dog.age > 1), names, ["Rex"]),
    "results of a list": (lambda realm, rex: rex.friends.sort("name"), names, ["Bo"]),
    "realm": (lambda realm, rex: realm, lambda realm: len(realm.objects(Dog)), 2),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_referred_to_is_live_on_another_thread(open_realm: OpenRealm, kind: str) -> None:
    get, look, expected = KINDS[kind]
    realm, rex = kennel(open_realm)
    reference = ThreadSafeReference(get(realm, rex))

    def job(mine: Realm) -> Any:
        found = mine.resolve(reference)
        assert found is not None
        assert not found.is_frozen
        return look(found)

    assert elsewhere(realm.path, job) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_deleted_meanwhile(open_realm: OpenRealm, kind: str) -> None:
    get, look, _ = KINDS[kind]
    realm, rex = kennel(open_realm)
    reference = ThreadSafeReference(get(realm, rex))
    with realm.write():
        realm.delete_all()

    def job(mine: Realm) -> Any:
        mine.refresh()
        found = mine.resolve(reference)
        return found if found is None else look(found)

    assert elsewhere(realm.path, job) == {"results": [], "results of a list": [], "realm": 0}.get(kind)


def test_it_is_resolved_once(open_realm: OpenRealm) -> None:
    realm, rex = kennel(open_realm)
    reference = ThreadSafeReference(rex)
    assert realm.resolve(reference) is rex
    with pytest.raises(IllegalOperationError, match=r"was resolved already"):
        realm.resolve(reference)


def test_an_older_target_moves_and_a_newer_one_stays(open_realm: OpenRealm, tmp_path: Path) -> None:
    realm, rex = kennel(open_realm)
    other = open_realm(Dog)
    assert other.version == realm.version
    with realm.write():
        rex.age = 4
    reference = ThreadSafeReference(rex)
    found = other.resolve(reference)
    assert found is not None
    assert (found.age, other.version) == (4, realm.version)

    reference = ThreadSafeReference(rex)
    with realm.write():
        rex.age = 5
    other.refresh()
    assert other.resolve(reference).age == 5  # type: ignore[union-attr]


def test_a_target_without_a_version_starts_at_that_of_the_reference(open_realm: OpenRealm) -> None:
    realm, rex = kennel(open_realm)
    other = open_realm(Dog)
    reference = ThreadSafeReference(rex)
    version = realm.version
    with realm.write():
        realm.delete(rex)
    other.invalidate()
    found = other.resolve(reference)
    assert found is not None
    assert (found.age, other.version) == (3, version)
    other.refresh()
    assert not found.is_valid


def test_made_inside_a_write(open_realm: OpenRealm) -> None:
    realm, rex = kennel(open_realm)
    other = open_realm(Dog)
    early: ThreadSafeReference[Dog]
    with realm.write():
        new = realm.create(Dog, name="Max", age=1, friends=[rex])
        reference, early = ThreadSafeReference(new), ThreadSafeReference(new)
        assert other.resolve(early) is None  # not there yet
        with pytest.raises(WrongTransactionStateError, match=r"a collection that this write transaction made"):
            ThreadSafeReference(new.friends.sort("name"))
        old = ThreadSafeReference(rex.friends.sort("name"))
    assert other.resolve(reference).age == 1  # type: ignore[union-attr]
    assert len(other.resolve(old)) == 1  # type: ignore[arg-type]


def test_what_resolving_refuses(open_realm: OpenRealm, tmp_path: Path) -> None:
    realm, rex = kennel(open_realm)
    reference = ThreadSafeReference(rex)
    with realm.write(), pytest.raises(WrongTransactionStateError):
        realm.resolve(reference)
    with pytest.raises(WrongTransactionStateError):
        realm.freeze().resolve(reference)
    with pytest.raises(IllegalOperationError, match=r"this reference is of"):
        open_realm(Dog, path=tmp_path / "other.realm").resolve(reference)
    assert realm.resolve(reference) is rex


def test_what_cannot_be_referred_to(open_realm: OpenRealm) -> None:
    realm, rex = kennel(open_realm)
    with pytest.raises(TypeError, match=r"cannot be pickled"):
        pickle.dumps(ThreadSafeReference(rex))
    with pytest.raises(TypeMismatchError):
        ThreadSafeReference(3)
    with pytest.raises(InvalidatedObjectError, match=r"pass threads as they are"):
        ThreadSafeReference(Dog(name="Max"))
    friends = rex.friends
    with realm.write():
        realm.delete(rex)
    for gone in (rex, friends):
        with pytest.raises(InvalidatedObjectError):
            ThreadSafeReference(gone)


def test_its_version_lives_until_it_is_dropped_or_resolved(open_realm: OpenRealm) -> None:
    realm, rex = kennel(open_realm)
    references = [ThreadSafeReference(rex)]
    for age in range(3):
        with realm.write():
            rex.age = age
    assert realm.number_of_versions == 2
    references.append(ThreadSafeReference(rex))
    del references[0]
    gc.collect()
    assert realm.number_of_versions == 1
    realm.resolve(references[0])
    with realm.write():
        rex.age = 9
    assert realm.number_of_versions == 1
