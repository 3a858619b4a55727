"""What the garbage collector ends: in the middle of anything, and on whatever thread it runs (spec/sdk.md §15.29)."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.realm.conftest import OpenRealm
from tests.realm.test_threads import elsewhere
from tests.realm.told import Log

from syncline import CollectionChange, Field, List, Model, Realm, ThreadSafeReference
from syncline.realm import freezing, opening
from syncline.storage import file as files
from syncline.storage import locks, watch


class Dog(Model):
    name: str = Field(primary_key=True)
    age: int = 0
    friends: List[Dog]


class Cycle:
    """Garbage that only the collector finds."""

    def __init__(self, *things: object) -> None:
        self.me = self
        self.things = things


@pytest.fixture(autouse=True)
def collecting_by_hand() -> Iterator[None]:
    gc.disable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
    gc.enable()
    gc.collect()


@pytest.fixture
def realm(open_realm: OpenRealm) -> Realm:
    opened = open_realm(Dog)
    with opened.write():
        rex = opened.create(Dog, name="Rex")
        rex.friends.append(rex)
    return opened


def leave_a_write(realm: Realm) -> None:
    other = Realm.open(realm.config)
    other.begin_write()
    Cycle(other, other.create(Dog, name="nobody"), other.objects(Dog))


def leave_an_observing_realm(realm: Realm) -> None:
    other = Realm.open(realm.config)
    tokens = [other.objects(Dog).observe(print), other.observe(print), other.objects(Dog)[0].observe(print)]
    tokens.append(other.objects(Dog).observe(print, key_paths=["@links.Dog.friends"]))
    Cycle(other, tokens)


def leave_tokens(realm: Realm) -> None:
    Cycle(realm.objects(Dog).observe(print, key_paths=["@links.Dog.friends"]), realm.observe(print))
    token = realm.objects(Dog).observe(print)
    token._stop = Cycle(token).__repr__  # type: ignore[assignment]


def leave_frozen_things(realm: Realm) -> None:
    frozen = realm.freeze()
    Cycle(frozen, frozen.objects(Dog)[0], iter(frozen.objects(Dog)), realm.objects(Dog)[0].friends.freeze())


def leave_references(realm: Realm) -> None:
    Cycle(ThreadSafeReference(realm.objects(Dog)[0]), ThreadSafeReference(realm.objects(Dog)))


def collect_young() -> None:
    """All that was left since the last time; what is older is not looked at, which takes long in a large program."""
    gc.collect(1)


LEAVING = [leave_a_write, leave_an_observing_realm, leave_tokens, leave_frozen_things, leave_references]


def every_lock(realm: Realm) -> list[Any]:
    """All that a finalizer might come across."""
    file = realm._context.file
    assert file._writer is not None
    return [
        file._looking_guard, file._turning_guard, file._pool._guard, file._bell._changed, file._writer._connecting,
        realm._delivery._guard, watch._watcher._guard, freezing._guard, files._registry_guard, locks._registry_guard,
        opening._guard,
    ]  # fmt: skip


@pytest.mark.parametrize("leave", LEAVING)
def test_inside_any_lock(realm: Realm, leave: Callable[[Realm], None]) -> None:
    leave(realm)
    realm.refresh()

    def collect() -> None:
        with ExitStack() as held:
            for lock in every_lock(realm):
                held.enter_context(lock)
            collect_young()

    elsewhere(collect)
    with realm.write(timeout=10):
        assert len(realm.objects(Dog)) == 1
    realm.refresh()
    assert realm.number_of_versions == 1
    assert realm._context.file._references == 1


@pytest.mark.parametrize("leave", LEAVING)
def test_on_another_thread_in_the_middle_of_a_round_a_loop_and_a_write(
    realm: Realm, open_realm: OpenRealm, leave: Callable[[Realm], None]
) -> None:
    other, late, names = open_realm(Dog), Log(), []
    collected: list[CollectionChange] = []

    def collect(dogs: Any, change: CollectionChange) -> None:
        elsewhere(collect_young)
        collected.append(change)

    with realm.objects(Dog).observe(collect), realm.objects(Dog).observe(late):
        leave(realm)
        realm.refresh()
        assert (late.take(), len(collected)) == ([CollectionChange(initial=True)], 1)
        leave(realm)
        with other.write(timeout=10) if leave is not leave_a_write else ExitStack():
            if other.in_write:
                other.create(Dog, name="Bo")
        realm.refresh()
        elsewhere(collect_young)
        for number in range(3):
            leave(realm)
            if leave is leave_a_write:
                elsewhere(collect_young)
            with realm.write(timeout=10):
                realm.create(Dog, name=f"{number}")
                elsewhere(collect_young)
                assert realm.in_write
        leave(realm)
        for each in realm.objects(Dog):
            elsewhere(collect_young)
            names.append(each.name)
        assert names[:1] == ["Rex"]
        assert names[-3:] == ["0", "1", "2"]
        realm.refresh()
        assert sum(len(change.insertions) for change in late.take()) == len(names) - 1
    elsewhere(collect_young)
    with realm.write(timeout=10):
        realm.delete_all()
    other.close()
    realm.refresh()
    assert realm.number_of_versions == 1
    assert realm._context.file._references == 1


def test_the_last_use_of_a_file_ends_on_another_thread(realm: Realm) -> None:
    path, config = realm.path, realm.config
    with Realm.open(config) as other:
        leave_a_write(other)
        leave_an_observing_realm(other)
        leave_frozen_things(other)
    realm.close()
    assert (path, False) in files._registry
    elsewhere(collect_young)
    assert (path, False) not in files._registry
    assert path not in locks._registry
    with Realm.open(config) as again, again.write(timeout=10):
        assert [dog.name for dog in again.objects(Dog)] == ["Rex"]
