"""Live objects in numbers: how often SQLite is asked, what is freed (realm/objects.py). Compiled as well, in CI."""

from __future__ import annotations

import contextlib
import functools
import gc
import operator
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.realm.conftest import OpenRealm

from syncline import Field, List, Model, Realm, RealmConfiguration, WrongThreadError
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
    assert len(binding.known) < 4 * COUNT


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


# --- loops: objects that nobody holds serve again ---------------------------------------------------------------------


def test_objects_of_a_loop_that_nobody_holds_are_not_remembered(realm: Realm) -> None:
    binding = realm._context.classes.of(Thing)
    assert sum(thing.number for thing in realm.objects(Thing)) == -sum(range(COUNT))
    assert len(binding.known) <= 2
    held = list(realm.objects(Thing).sort(Thing.number))
    assert len(binding.known) == COUNT
    assert [thing.id for thing in held] == list(range(COUNT))[::-1]
    assert sum(map(operator.is_, reversed(held), realm.objects(Thing))) == COUNT


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_objects_that_are_held_stay_what_they_are(realm: Realm, step: int) -> None:
    held = {}
    for number, thing in enumerate(realm.objects(Thing)):
        if number % step == 0:
            held[number] = thing
    assert [thing.id for thing in held.values()] == list(held)
    assert all(realm.get(Thing, number) is thing for number, thing in held.items())
    assert len({id(thing) for thing in held.values()}) == len(held)


def test_loops_beside_each_other_give_the_same_objects(realm: Realm) -> None:
    things = realm.objects(Thing)
    assert all(one is other for one, other in zip(things, things, strict=True))
    assert all(one is other for one, other in zip(things, things.sort(Thing.id), strict=True))
    later = iter(things)
    ahead = [next(later), next(later)]
    assert all(one is other for one, other in zip(ahead, things, strict=False))
    for outer in things[:3]:
        assert [inner is outer for inner in things][:3] == [outer.id == place for place in range(3)]
    for thing in things:
        assert realm.get(Thing, thing.id) is thing


def test_a_row_that_comes_twice_is_one_object(open_realm: OpenRealm) -> None:
    class Tag(Model):
        name: str

    class Post(Model):
        tags: List[Tag]

    realm = open_realm(Tag, Post)
    with realm.write():
        one, two = realm.create(Tag, name="one"), realm.create(Tag, name="two")
        post = realm.create(Post, tags=[one, one, two, one, two, two])
    del one, two
    gc.collect()
    tags = list(post.tags)
    assert [tag.name for tag in tags] == ["one", "one", "two", "one", "two", "two"]
    assert tags[0] is tags[1] is tags[3]
    assert tags[2] is tags[4] is tags[5]
    assert [tag.name for tag in post.tags] == ["one", "one", "two", "one", "two", "two"]


def test_a_weak_reference_never_comes_to_another_object(realm: Realm) -> None:
    references = [weakref.ref(thing) for thing in realm.objects(Thing)]
    assert [reference() for reference in references] == [None] * COUNT


def test_what_was_attached_to_an_object_does_not_come_with_another(open_realm: OpenRealm) -> None:
    class Noted(Model):
        id: int
        shown: str = Field("nothing", ignore=True)

        @functools.cached_property
        def twice(self) -> int:
            return 2 * self.id

    realm = open_realm(Noted)
    with realm.write():
        realm.create_many(Noted, ({"id": number} for number in range(20)))
    for noted in realm.objects(Noted):
        assert noted.twice == 2 * noted.id
        assert noted.shown == "nothing"
        assert not hasattr(noted, "_mine")
        noted.shown = "this"
        noted._mine = noted.id


def test_slots_of_a_model_do_not_come_with_another_object(open_realm: OpenRealm) -> None:
    class Slotted(Model):
        __slots__ = ("_mine",)
        id: int

    realm = open_realm(Slotted)
    with realm.write():
        realm.create_many(Slotted, ({"id": number} for number in range(20)))
    for slotted in realm.objects(Slotted):
        assert not hasattr(slotted, "_mine")
        slotted._mine = slotted.id


def test_every_object_of_a_loop_is_finalized(open_realm: OpenRealm) -> None:
    gone: list[int] = []

    class Final(Model):
        id: int

        def __del__(self) -> None:
            gone.append(self._key)

    realm = open_realm(Final)
    with realm.write():
        realm.create_many(Final, ({"id": number} for number in range(20)))
    keys = [final._key for final in realm.objects(Final)]
    assert gone == keys


class Goodbye:
    """Calls when it goes."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call

    def __del__(self) -> None:
        self.call()


def call_when_it_goes(way: str, thing: Any, call: Callable[[], None]) -> None:
    """Have ``call`` called when an object goes, or soon after."""
    if way == "reference":
        weakref.finalize(thing, call).atexit = False
    elif way == "attribute":
        thing._goodbye = Goodbye(call)
    elif way == "collection":
        weakref.finalize(thing.others, call).atexit = False
    else:
        cycle: list[Any] = [Goodbye(call)]
        cycle.append(cycle)


@pytest.mark.parametrize("way", ["reference", "attribute", "collection", "cycle"])
def test_objects_that_go_tell_somebody_who_looks_objects_up(open_realm: OpenRealm, way: str) -> None:
    """He does so in the middle of the step of a loop that let them go."""

    class Node(Model):
        id: int = Field(primary_key=True)
        others: List[int]

    realm = open_realm(Node)
    with realm.write():
        realm.create_many(Node, ({"id": number} for number in range(COUNT)))
    nodes = realm.objects(Node)
    held: dict[int, Node] = {}
    wrong: list[Any] = []
    calls: list[int] = []

    def see(node: Node | None, number: int, *, hold: bool) -> None:
        if node is not None and (node.id != number or held.get(number, node) is not node):
            wrong.append((node.id, number))
        if node is not None and hold:
            held[number] = node

    def look(number: int) -> None:
        if realm.is_closed:
            return
        calls.append(number)
        for place in range(number, number + 4):
            see(realm.get(Node, place), place, hold=place % 3 == 0)
        for place, node in enumerate(nodes):
            see(node, place, hold=False)
            if place == 5:
                break

    threshold = gc.get_threshold()
    gc.set_threshold(5, 2, 2)
    try:
        for number, node in enumerate(nodes):
            see(node, number, hold=number % 11 == 0)
            if number % 5 == 0:
                call_when_it_goes(way, node, functools.partial(look, number))
    finally:
        gc.set_threshold(*threshold)
    assert calls
    assert wrong == []
    assert [node.id for node in held.values()] == list(held)


@pytest.mark.parametrize("kind", ["read", "written", "frozen"])
def test_objects_that_go_tell_somebody_who_goes_on_with_the_loop(realm: Realm, kind: str) -> None:
    things = iter((realm.freeze() if kind == "frozen" else realm).objects(Thing))
    seen: list[int] = []

    def go_on() -> None:
        seen.extend(thing.id for thing in [next(things, None)] if thing is not None)

    with realm.write() if kind == "written" else contextlib.nullcontext():
        for thing in things:
            seen.append(thing.id)
            if kind == "written":
                thing.value = 0.0
            if thing.id % 3 == 0:
                weakref.finalize(thing, go_on).atexit = False
    assert sorted(seen) == list(range(COUNT))


def test_collections_belong_to_the_object_they_were_read_from(open_realm: OpenRealm) -> None:
    class Box(Model):
        id: int
        things: List[int]

    realm = open_realm(Box)
    with realm.write():
        for number in range(10):
            realm.create(Box, id=number, things=[number, number])
    boxes = realm.objects(Box)
    held = [box.things for box in boxes]
    assert [list(things) for things in held] == [[number, number] for number in range(10)]
    assert [sum(box.things) for box in boxes] == [2 * number for number in range(10)]
    with realm.write():
        for number, things in enumerate(held):
            things.append(number)
    assert [len(box.things) for box in boxes] == [3] * 10


def test_writes_in_a_loop_reach_the_objects_that_are_still_to_come(realm: Realm) -> None:
    asked: list[str] = []
    with realm.write():

        def count_up() -> None:
            for thing in realm.objects(Thing):
                thing.value += 1
                after = realm.get(Thing, thing.id + 1)
                if after is not None:
                    after.value += 1000  # nobody holds it until its turn comes
                    del after

        asked += statements(realm, count_up)
        assert len([sql for sql in asked if "LIMIT" in sql or "carray" in sql]) <= 6, asked
        assert [thing.value for thing in realm.objects(Thing)] == [n / 2 + 1 + (1000 if n else 0) for n in range(COUNT)]


def test_a_loop_that_is_left_forgets_nothing(realm: Realm) -> None:
    first = second = None
    for thing in realm.objects(Thing):
        first, second = second, thing
        if thing.id == 7:
            break
    assert first is not None
    assert second is not None
    assert realm.get(Thing, 6) is first
    assert realm.get(Thing, 7) is second
    with realm.write():
        second.value = -7.0
    assert [each.value for each in realm.objects(Thing) if each.id in (6, 7)] == [3.0, -7.0]


def test_an_exhausted_loop_stays_exhausted(realm: Realm) -> None:
    for results in (realm.objects(Thing), realm.objects(Thing).sort(Thing.number)):
        loop = iter(results)
        assert len(list(loop)) == COUNT
        with realm.write():
            realm.create(Thing, id=10_000 + len(realm.objects(Thing)), name="new", number=1, value=1.0)
            realm.delete(realm.objects(Thing).where(Thing.id >= 10_000))
        assert list(loop) == []


def test_frozen_objects_of_several_threads(realm: Realm) -> None:
    frozen = realm.freeze()
    sums: list[int] = []

    def read() -> None:
        for _ in range(5):
            sums.append(sum(thing.number for thing in frozen.objects(Thing)))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums == [-sum(range(COUNT))] * 20
    frozen.close()


@pytest.mark.parametrize("seed", range(12))
def test_loops_writes_and_held_objects_in_any_order(realm: Realm, seed: int) -> None:
    """Whatever is held is one object for each row and shows what was written last."""
    random = Random(seed)
    values = {n: n / 2 for n in range(COUNT)}
    loops: list[Any] = []
    held: list[tuple[int, Thing]] = []

    def take(thing: Thing | None) -> None:
        if thing is None:
            return
        assert thing.value == values[thing.id]
        assert [other is thing for key, other in held if key == thing.id] in ([], [True])
        if random.random() < 0.3 and thing.id not in dict(held):
            held.append((thing.id, thing))

    def step() -> None:
        choice = random.random()
        if choice < 0.05 or not loops:
            things = realm.objects(Thing)
            loops.append(iter(things if random.random() < 0.5 else things.sort(Thing.number)))
        elif choice < 0.8:
            loop = random.choice(loops)
            for _ in range(random.randrange(1, 40)):
                take(next(loop, None))
        elif choice < 0.85:
            take(realm.get(Thing, random.randrange(COUNT)))
        elif choice < 0.9:
            loops.remove(random.choice(loops))
        elif choice < 0.95 and held:
            held.remove(random.choice(held))
        elif realm.in_write:
            key = random.randrange(COUNT)
            thing = realm.get(Thing, key)
            if thing is not None and random.random() < 0.2:
                held[:] = [(other, each) for other, each in held if other != key]
                realm.delete(thing)
                del values[key]
            elif thing is not None:
                thing.value = values[key] = random.random()

    for _ in range(12):
        with realm.write() if random.random() < 0.5 else contextlib.nullcontext():
            for _ in range(15):
                step()
        assert [(thing.id, thing.value) for _, thing in held] == [(key, values[key]) for key, _ in held]
    assert {thing.id: thing.value for thing in realm.objects(Thing)} == values


# --- loops read what they need ----------------------------------------------------------------------------------------


def columns_read(realm: Realm, asked: list[str]) -> list[int]:
    """How many columns the pages have that were read, the key among them."""
    return [sql[: sql.index(" FROM")].count(",") + 1 for sql in asked if "LIMIT" in sql or "carray" in sql]


@pytest.mark.parametrize("in_order", [False, True])
def test_a_loop_reads_the_properties_that_it_asks_for(realm: Realm, in_order: bool) -> None:
    things = realm.objects(Thing).sort(Thing.number, descending=True) if in_order else realm.objects(Thing)
    found: list[Any] = []
    asked = statements(realm, lambda: found.extend(thing.value for thing in things))
    assert found == [n / 2 for n in range(COUNT)]
    assert columns_read(realm, asked) == [6, 2, 2, 2]  # all at first, to see what is asked for
    asked = statements(realm, lambda: found.extend((thing.id, thing.name, thing.good) for thing in things))
    assert found[COUNT:] == [(n, f"{n}", False) for n in range(COUNT)]
    assert columns_read(realm, asked) == [6, 4, 4, 4]


def test_a_property_that_is_asked_for_late_is_read_then_and_with_the_pages_that_follow(realm: Realm) -> None:
    found: list[tuple[int, str | None]] = []

    def look() -> None:
        for thing in realm.objects(Thing):
            found.append((thing.id, thing.name if thing.id == PAGE + 3 or thing.id > 2 * PAGE else None))

    asked = statements(realm, look)
    assert found == [(n, f"{n}" if n == PAGE + 3 or n > 2 * PAGE else None) for n in range(COUNT)]
    assert columns_read(realm, asked) == [6, 2, 3, 3]
    assert len([sql for sql in asked if "WHERE k = ?" in sql]) == 1


def test_a_loop_that_asks_for_all_or_nothing_or_collects_reads_all(realm: Realm) -> None:
    things = realm.objects(Thing)

    def read_all() -> None:
        for thing in things:
            assert (thing.id, thing.name, -thing.number, thing.value) == (
                thing.id,
                f"{thing.id}",
                thing.id,
                thing.id / 2,
            )
            assert not thing.good

    def read_nothing() -> None:
        for _ in things:
            pass

    assert columns_read(realm, statements(realm, read_all)) == [6] * 4
    assert columns_read(realm, statements(realm, read_nothing)) == [6] * 4
    held: list[Thing] = []
    assert columns_read(realm, statements(realm, lambda: held.extend(things))) == [6] * 4
    assert statements(realm, lambda: [thing.name for thing in held]) == []
    del held[:]
    by_value = statements(realm, lambda: held.extend(sorted(things, key=lambda thing: thing.value)))
    assert columns_read(realm, by_value) == [6] * 4
    assert statements(realm, lambda: [thing.name for thing in held]) == []


def test_a_loop_that_collects_does_not_slow_those_after_it(realm: Realm) -> None:
    things = realm.objects(Thing)
    assert len(list(things)) == COUNT
    found: list[float] = []
    asked = statements(realm, lambda: found.extend(thing.value for thing in things))
    assert found == [n / 2 for n in range(COUNT)]
    assert columns_read(realm, asked) == [6, 2, 2, 2]


def test_an_object_read_in_part_is_written_to_deleted_and_frozen(realm: Realm) -> None:
    held: dict[int, Thing] = {}
    for thing in realm.objects(Thing):
        assert thing.value >= 0
        if thing.id in (PAGE + 3, PAGE + 90, PAGE + 200):
            held[thing.id] = thing
    one, two, three = held.values()
    with realm.write():
        one.name, two.value = "other", -5.0
        assert (one.name, one.value, one.number) == ("other", (PAGE + 3) / 2, -PAGE - 3)
        assert (two.value, two.name) == (-5.0, f"{PAGE + 90}")
        realm.delete(three)
    assert (one.name, one.value) == ("other", (PAGE + 3) / 2)
    assert not three.is_valid
    for thing in realm.objects(Thing):
        assert thing.value > -6
        if thing.id == 2 * PAGE:
            frozen = thing.freeze()
            assert (frozen.name, frozen.value) == (f"{2 * PAGE}", PAGE)
