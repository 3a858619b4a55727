"""Live objects in numbers: how often SQLite is asked, what is freed (realm/objects.py). Compiled as well, in CI."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.realm.conftest import OpenRealm

from syncline import Field, Model, Realm, RealmConfiguration, WrongThreadError
from syncline.realm.objects import PAGE

COUNT = 3 * PAGE + 7


class Thing(Model):
    id: int = Field(primary_key=True)
    name: str
    number: int = Field(index=True)
    value: float
    good: bool = False


@pytest.fixture
def realm(open_realm: OpenRealm) -> Realm:
    realm = open_realm(Thing)
    with realm.write():
        realm.create_many(Thing, ({"id": n, "name": f"{n}", "number": -n, "value": n / 2} for n in range(COUNT)))
    return realm


def statements(realm: Realm, run: Callable[[], Any]) -> list[str]:
    """What SQLite is asked while ``run`` does something."""
    connection = realm._context.reader().connection
    asked: list[str] = []

    def seen(cursor: object, sql: str, bindings: object) -> bool:
        asked.append(sql)
        return True

    connection.exec_trace = seen
    try:
        run()
    finally:
        connection.exec_trace = None
    return asked


def test_a_loop_over_a_class_reads_pages_and_nothing_else(realm: Realm) -> None:
    things = realm.objects(Thing)
    found: list[float] = []
    asked = statements(realm, lambda: found.extend(thing.value + thing.good for thing in things))
    assert found == [n / 2 for n in range(COUNT)]
    assert len(asked) == 1 + 4, asked  # the last key, and pages
    assert not any("carray" in sql for sql in asked)


def test_a_loop_over_results_reads_keys_and_pages(realm: Realm) -> None:
    things = realm.objects(Thing).sort(Thing.number)
    found: list[int] = []
    asked = statements(realm, lambda: found.extend(thing.id for thing in things))
    assert found == list(range(COUNT))[::-1]
    assert len(asked) == 1 + 4, asked


def test_values_take_one_statement(realm: Realm) -> None:
    things = realm.objects(Thing)
    assert len(statements(realm, lambda: things.values_list("name", "good"))) == 1
    assert len(statements(realm, lambda: things.values("value"))) == 1
    some = things.where(Thing.number > -9)
    assert len(statements(realm, lambda: some.values_list("name", "good"))) == 2
    assert some.values_list("name", "good") == [(f"{n}", False) for n in range(9)]


def test_an_object_by_key_takes_one_statement(realm: Realm) -> None:
    def read() -> None:
        thing = realm.get(Thing, 5)
        assert thing is not None
        assert (thing.id, thing.name, thing.number, thing.value) == (5, "5", -5, 2.5)

    assert len(statements(realm, read)) == 1


def test_all_are_counted_without_a_condition(realm: Realm) -> None:
    assert [sql[:24] for sql in statements(realm, lambda: len(realm.objects(Thing)))] == [
        "SELECT count(*) FROM c1 c"[:24]
    ]
    assert len(realm.objects(Thing)) == COUNT


def test_assigning_reads_no_row(realm: Realm) -> None:
    def write() -> None:
        for key in range(20):
            thing = realm.get(Thing, key)
            assert thing is not None
            thing.value = 99.0

    with realm.write():
        asked = statements(realm, write)
        assert len([sql for sql in asked if sql.startswith("SELECT k FROM")]) == 20
        assert not any("SELECT k, " in sql for sql in asked), asked
        assert [thing.value for thing in realm.objects(Thing)[:21]] == [99.0] * 20 + [10.0]


def test_deleting_many_asks_for_many_at_once(realm: Realm) -> None:
    with realm.write():
        things = realm.objects(Thing).where(Thing.id < 500)
        asked = statements(realm, things.delete_all)
    assert len([sql for sql in asked if sql.startswith("SELECT")]) <= 4, asked
    assert [thing.id for thing in realm.objects(Thing)] == list(range(500, COUNT))


def test_a_loop_over_a_class_keeps_to_what_was_there(realm: Realm) -> None:
    seen = []
    for thing in realm.objects(Thing):
        seen.append(thing.id)
        if thing.id == 3:
            with realm.write():
                realm.create(Thing, id=COUNT + 1, name="new", number=1, value=1.0)
                realm.delete(realm.objects(Thing).where(Thing.id > 5, Thing.id < COUNT - 1))
    assert seen == [0, 1, 2, 3, 4, 5, COUNT - 1]
    later = iter(realm.objects(Thing))
    with realm.write():
        for thing in realm.objects(Thing):
            realm.delete(thing)
        realm.create(Thing, id=1, name="late", number=1, value=1.0)
    assert list(later) == []


def test_a_row_has_one_object_however_it_is_read(realm: Realm) -> None:
    held = realm.get(Thing, 300)
    assert held is not None
    assert next(thing for thing in realm.objects(Thing) if thing.id == 300) is held
    assert realm.objects(Thing)[300] is held
    assert realm.objects(Thing).where(Thing.id == 300).first() is held
    with realm.write():
        held.value = -1.0
        assert held.value == -1.0
        assert next(thing.value for thing in realm.objects(Thing) if thing.id == 300) == -1.0
        assert realm.get(Thing, 300) is held


def test_objects_that_nobody_holds_are_forgotten(realm: Realm) -> None:
    binding = realm._context.classes.of(Thing)
    for _ in range(8):
        for _thing in realm.objects(Thing):
            pass
    assert len(binding._objects) < 4 * COUNT


def test_every_read_looks_at_the_thread(realm: Realm) -> None:
    thing = realm.get(Thing, 1)
    assert thing is not None
    assert thing.value == 0.5
    caught: list[BaseException] = []

    def read() -> None:
        try:
            caught.append(ValueError(thing.value))
        except WrongThreadError as error:
            caught.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert [type(each) for each in caught] == [WrongThreadError]


def test_a_class_is_freed_after_its_objects(tmp_path: Path) -> None:
    """Objects refer to their class, which is freed once they are: compiled code has to be told so (setup.py)."""

    def use(beside: bool) -> weakref.ref[Any]:
        class Passing(Model):
            id: int = Field(primary_key=True)

        with Realm.open(RealmConfiguration(tmp_path / f"passing{beside}.realm", schema=[Passing])) as realm:
            with realm.write():
                realm.create(Passing, id=1)
                realm.add(Passing(id=2))
            assert [each.id for each in realm.objects(Passing)] == [1, 2]
        if beside:  # a cycle
            type.__setattr__(Passing, "example", Passing(id=3))
        return weakref.ref(Passing)

    classes = [use(False), use(True)]
    for _ in range(2):  # what the Realm leaves may take two
        gc.collect()
    assert [cls() for cls in classes] == [None, None]
