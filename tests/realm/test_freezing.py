"""Frozen Realms, objects, results and collections (spec/sdk.md §4.4)."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.realm.conftest import OpenRealm

from syncline import (
    Dictionary,
    EmbeddedModel,
    Field,
    InvalidatedObjectError,
    List,
    Model,
    Realm,
    RealmConfiguration,
    Set,
    WrongTransactionStateError,
)


class Home(EmbeddedModel):
    street: str = ""


class Dog(Model):
    name: str = Field(primary_key=True)
    age: int = 0
    best: "Dog | None"  # noqa: UP037 - the class itself
    friends: List[Dog]
    nicknames: Set[str]
    scores: Dictionary[int]
    extra: Any = None
    home: Home | None


def kennel(open_realm: OpenRealm) -> tuple[Realm, Dog]:
    realm = open_realm(Dog, Home)
    with realm.write():
        bo = realm.create(Dog, name="Bo", age=1)
        rex = realm.create(
            Dog, name="Rex", age=3, best=bo, friends=[bo], nicknames={"R"}, scores={"a": 1}, extra=[1, {"k": 2}],
            home={"street": "Elm"},
        )  # fmt: skip
    return realm, rex


def elsewhere(action: Callable[[], Any]) -> Any:
    """What it returns on another thread."""
    found: list[Any] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            found.append(action())
        except Exception as error:  # noqa: BLE001 - whatever it raises
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]


#: What can be frozen, and what is seen of it. ``extra`` is a Mixed with a list and a dictionary in it.
KINDS: dict[str, tuple[Callable[[Realm, Dog], Any], Callable[[Any], Any], Any]] = {
    "object": (lambda realm, rex: rex, lambda dog: (dog.name, dog.age), ("Rex", 3)),
    "embedded": (lambda realm, rex: rex.home, lambda home: home.street, "Elm"),
    "results": (
        lambda realm, rex: realm.objects(Dog).where(Dog.age > 0).sort("name"),
        lambda dogs: [dog.name for dog in dogs],
        ["Bo", "Rex"],
    ),
    "results of a list": (
        lambda realm, rex: rex.friends.where(Dog.age == 1),
        lambda dogs: [dog.name for dog in dogs],
        ["Bo"],
    ),
    "list": (lambda realm, rex: rex.friends, lambda dogs: [dog.name for dog in dogs], ["Bo"]),
    "set": (lambda realm, rex: rex.nicknames, set, {"R"}),
    "dictionary": (lambda realm, rex: rex.scores, dict, {"a": 1}),
    "list in Mixed": (lambda realm, rex: rex.extra, lambda values: values[0], 1),
    "dictionary in Mixed": (lambda realm, rex: rex.extra[1], dict, {"k": 2}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_frozen_stays_on_every_thread(open_realm: OpenRealm, kind: str) -> None:
    get, look, expected = KINDS[kind]
    realm, rex = kennel(open_realm)
    live = get(realm, rex)
    assert not live.is_frozen
    frozen = live.freeze()
    assert frozen.is_frozen
    assert frozen.freeze() is frozen
    with realm.write():
        rex.age, rex.home.street, rex.extra = 0, "Oak", None  # type: ignore[union-attr]
        realm.get(Dog, "Bo").age = 0  # type: ignore[union-attr]
        rex.friends.clear()
        rex.nicknames.clear()
        rex.scores.clear()
    assert look(frozen) == elsewhere(lambda: look(frozen)) == expected
    with realm.write():
        realm.delete_all()
    assert look(frozen) == elsewhere(lambda: look(frozen)) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_thawing_gives_the_live_one(open_realm: OpenRealm, tmp_path: Path, kind: str) -> None:
    get, look, expected = KINDS[kind]
    realm, rex = kennel(open_realm)
    live = get(realm, rex)
    assert live.thaw() is live
    frozen = live.freeze()
    thawed = frozen.thaw()
    assert not thawed.is_frozen
    assert thawed._context.realm is realm if hasattr(thawed, "_context") else thawed.realm is realm
    assert look(thawed) == expected

    def on_another_thread() -> Any:
        found = frozen.thaw()  # opens a Realm, which lives as long as what was found
        assert not found.is_frozen
        return look(found)

    assert elsewhere(on_another_thread) == expected
    with realm.write():
        realm.delete_all()
    gone = frozen.thaw()
    assert gone is None or (kind == "results" and len(gone) == 0) or kind == "results of a list"


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_frozen_inside_a_write(open_realm: OpenRealm, kind: str) -> None:
    get, _, _ = KINDS[kind]
    realm, rex = kennel(open_realm)
    live = get(realm, rex)
    with realm.write():
        with pytest.raises(WrongTransactionStateError, match=r"what is being written cannot be frozen"):
            live.freeze()
        with pytest.raises(WrongTransactionStateError):
            realm.freeze()


@pytest.mark.parametrize("kind", ["list", "set", "dictionary", "list in Mixed", "dictionary in Mixed"])
def test_a_collection_whose_owner_is_gone_freezes_empty(open_realm: OpenRealm, kind: str) -> None:
    get, _, _ = KINDS[kind]
    realm, rex = kennel(open_realm)
    live = get(realm, rex)
    with realm.write():
        realm.delete(rex)
    frozen = live.freeze()
    assert (len(frozen), list(frozen), frozen.is_valid) == (0, [], True)
    assert frozen.thaw() is None
    assert elsewhere(lambda: len(frozen)) == 0


def test_results_of_a_list_whose_owner_is_gone_freeze_empty(open_realm: OpenRealm) -> None:
    realm, rex = kennel(open_realm)
    friends = rex.friends.where(Dog.age == 1)
    with realm.write():
        realm.delete(rex)
    frozen = friends.freeze()
    assert (len(frozen), list(frozen)) == (0, [])


def test_deleted_and_unmanaged_objects_do_not_freeze(open_realm: OpenRealm) -> None:
    realm, rex = kennel(open_realm)
    with realm.write():
        realm.delete(rex)
    with pytest.raises(InvalidatedObjectError, match=r"was deleted"):
        rex.freeze()
    with pytest.raises(InvalidatedObjectError, match=r"is in no Realm"):
        Dog(name="Bo").freeze()
    alone = Dog(name="Bo")
    assert alone.thaw() is alone
    assert not alone.is_frozen


def test_frozen_objects_lead_to_frozen_objects(open_realm: OpenRealm) -> None:
    realm, rex = kennel(open_realm)
    frozen = rex.freeze()
    for found in (
        frozen.best,
        frozen.friends[0],
        frozen.home,
        frozen.friends,
        frozen.extra,
        frozen.friends.sort("age"),
    ):
        assert found.is_frozen  # type: ignore[union-attr]
    assert frozen.best.realm is frozen.realm is realm.freeze()  # type: ignore[union-attr]


def test_one_version_has_one_frozen_realm(open_realm: OpenRealm) -> None:
    realm, rex = kennel(open_realm)
    other = open_realm(Dog, Home)
    frozen = realm.freeze()
    assert realm.freeze() is frozen
    assert other.freeze() is frozen
    assert frozen.freeze() is frozen
    assert elsewhere(frozen.freeze) is frozen
    assert rex.freeze() is rex.freeze()
    with realm.write():
        rex.age = 4
    assert realm.freeze() is not frozen
    assert realm.freeze().version == frozen.version + 1
    assert open_realm(Dog, Home, path=realm.path, schema_version=0).freeze() is realm.freeze()
    frozen.close()
    again = other.freeze()
    assert again is not frozen
    assert not again.is_closed


def test_realms_thaw(open_realm: OpenRealm) -> None:
    realm, rex = kennel(open_realm)
    assert realm.thaw() is realm
    frozen = realm.freeze()
    assert frozen.thaw() is realm
    assert not frozen.thaw().is_frozen

    def on_another_thread() -> None:
        thawed = frozen.thaw()
        assert thawed is not realm
        assert frozen.thaw() is thawed  # the one of this thread
        with thawed.write():
            thawed.get(Dog, "Rex").age = 8  # type: ignore[union-attr]
        thawed.close()

    elsewhere(on_another_thread)
    assert (rex.age, frozen.get(Dog, "Rex").age) == (3, 3)  # type: ignore[union-attr]
    realm.close()
    assert frozen.get(Dog, "Rex").age == 3  # type: ignore[union-attr]
    with frozen.thaw() as anew:
        assert anew.get(Dog, "Rex").age == 8  # type: ignore[union-attr]
    frozen.close()


def test_a_frozen_realm_refuses(open_realm: OpenRealm) -> None:
    realm, rex = kennel(open_realm)
    frozen, dog = realm.freeze(), rex.freeze()
    for action in (
        frozen.begin_write,
        lambda: frozen.write().__enter__(),
        lambda: setattr(dog, "age", 1),
        lambda: dog.friends.clear(),
        lambda: frozen.delete(dog),
        lambda: frozen.observe(lambda realm, event: None),
        lambda: dog.observe(lambda dog, change: None),
        lambda: dog.friends.observe(lambda dogs, change: None),
        lambda: frozen.objects(Dog).observe(lambda dogs, change: None),
        frozen.commit_write,
        frozen.cancel_write,
    ):
        with pytest.raises(WrongTransactionStateError, match=r"frozen"):
            action()
    assert not frozen.refresh()


def test_a_frozen_realm_keeps_its_version_alive_until_it_is_dropped(open_realm: OpenRealm) -> None:
    realm, rex = kennel(open_realm)
    frozen = [rex.freeze()]
    for age in range(5):
        with realm.write():
            rex.age = age
    frozen.append(rex.freeze())
    with realm.write():
        rex.age = 9
    assert realm.number_of_versions == 3
    elsewhere(frozen.clear)  # the last reference goes on another thread
    gc.collect()
    assert realm.number_of_versions == 1


def test_many_threads_share_a_frozen_realm(open_realm: OpenRealm) -> None:
    realm, _ = kennel(open_realm)
    with realm.write():
        for number in range(300):
            realm.create(Dog, name=f"dog {number}", age=number)
    dogs = realm.objects(Dog).sort("age").freeze()
    failed: list[Exception] = []

    def read() -> None:
        try:
            for _ in range(3):
                assert sum(dog.age for dog in dogs) == sum(range(300)) + 4
                assert dogs.where(Dog.age >= 298)[0].name == "dog 298"
                assert dogs[-1].friends[:] == []
        except Exception as error:  # noqa: BLE001 - whatever it raises
            failed.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    with realm.write():
        realm.delete_all()
    for thread in threads:
        thread.join()
    assert failed == []


def test_thawing_brings_an_older_realm_up(open_realm: OpenRealm) -> None:
    realm, rex = kennel(open_realm)

    def job() -> tuple[int, int]:
        with Realm.open(realm.config) as mine:
            assert mine.get(Dog, "Rex").age == 3  # type: ignore[union-attr]
            with mine.write():
                mine.get(Dog, "Rex").age = 4  # type: ignore[union-attr]
            frozen.append(mine.get(Dog, "Rex").freeze())  # type: ignore[union-attr]
        return 0, 0

    frozen: list[Dog] = []
    elsewhere(job)
    assert rex.age == 3
    thawed = frozen[0].thaw()
    assert thawed is rex
    assert rex.age == 4


def test_a_realm_in_memory_thaws_to_the_same_file() -> None:
    with Realm.open(RealmConfiguration(in_memory=True, schema=[Dog, Home])) as realm:
        with realm.write():
            rex = realm.create(Dog, name="Rex")
        frozen = rex.freeze()

        def write() -> None:
            found = frozen.thaw()
            assert found is not None
            assert found.realm is not None
            with found.realm.write():
                found.age = 7

        elsewhere(write)
        realm.refresh()
        assert rex.age == 7
        assert frozen.thaw() is rex


def test_a_dynamic_realm_freezes(open_realm: OpenRealm) -> None:
    kennel(open_realm)[0].close()
    realm = open_realm()
    frozen = realm.objects("Dog").freeze()
    assert elsewhere(lambda: [dog.name for dog in frozen]) == ["Bo", "Rex"]
    assert realm.get("Dog", "Rex").freeze().thaw().realm is realm


def test_what_is_forgotten_on_another_thread_gives_everything_back(open_realm: OpenRealm) -> None:
    """Finalizers run where the garbage is collected; the file does not mind (spec/sdk.md §15.29)."""
    realm, _ = kennel(open_realm)
    forgotten: list[Any] = []

    def open_and_leave() -> None:
        mine = Realm.open(realm.config)
        mine.begin_write()
        forgotten.extend([mine.get(Dog, "Rex"), mine.objects(Dog), mine.create(Dog, name="nobody")])

    elsewhere(lambda: open_and_leave())
    realm.refresh()
    forgotten.clear()
    elsewhere(gc.collect)
    with realm.write(timeout=5):
        assert len(realm.objects(Dog)) == 2
    assert realm.number_of_versions == 1


def test_sections(open_realm: OpenRealm) -> None:
    realm, rex = kennel(open_realm)
    live = realm.objects(Dog).sort("name").sectioned(lambda dog: dog.age > 1)
    frozen, section = live.freeze(), live.section(True).freeze()
    with realm.write():
        rex.age = 0
    assert elsewhere(lambda: {each.key: [dog.name for dog in each] for each in frozen}) == {
        False: ["Bo"],
        True: ["Rex"],
    }
    assert elsewhere(lambda: [dog.name for dog in section]) == ["Rex"]
    assert live.thaw() is live
    assert [[dog.name for dog in each] for each in frozen.thaw()] == [["Bo", "Rex"]]
    assert frozen.thaw().results.thaw()[0].realm is realm
    assert elsewhere(lambda: [[dog.name for dog in each] for each in frozen.thaw()]) == [["Bo", "Rex"]]
