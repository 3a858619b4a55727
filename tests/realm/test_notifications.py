"""Fields of change sets, events of Realms, other processes, and mirrors of everything (spec/sdk.md §9)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
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
    Field,
    List,
    Model,
    NotificationToken,
    ObjectChange,
    Realm,
    RealmConfiguration,
    Set,
)
from syncline.realm.merging import merged
from syncline.realm.observers import CHANGE, SCHEMA
from syncline.storage import query_run, watch, writer


class Dog(Model):
    name: str = Field(primary_key=True)
    age: int = 0
    born: datetime | None
    best: Dog | None
    friends: List[Dog]
    pack: Set[Dog]
    colours: Set[str]
    numbers: List[int]
    scores: Dictionary[int]
    roles: Dictionary[Dog | None]
    visits: Counter = 0  # type: ignore[assignment]
    extra: Any


@pytest.fixture
def realm(open_realm: OpenRealm) -> Realm:
    opened = open_realm(Dog)
    with opened.write():
        for name in "abc":
            opened.create(Dog, name=name)
    return opened


def dog(realm: Realm, name: str) -> Dog:
    found = realm.get(Dog, name)
    assert found is not None
    return found


def started(realm: Realm, observed: Any) -> tuple[Log, NotificationToken]:
    log = Log()
    token = observed.observe(log)
    realm.refresh()
    log.take()
    return log, token


# --- old and new values -----------------------------------------------------------------------------------------------


def test_objects_know_old_and_new_values(realm: Realm, open_realm: OpenRealm) -> None:
    other = open_realm(Dog)
    a, theirs = dog(realm, "a"), dog(other, "a")
    log, token = started(realm, a)
    new_year = datetime(2026, 1, 1, tzinfo=UTC)
    with token:
        for age in (3, 4):
            with other.write():
                theirs.age = age
                theirs.visits.increment()
        with other.write():
            theirs.born = new_year
            theirs.extra = 5
            theirs.best = dog(other, "b")
            theirs.friends.append(theirs)
        realm.refresh()
        (change,) = log.take()
        assert change.changed == ("age", "born", "best", "friends", "visits", "extra")
        assert change.object is a
        assert [change.old(name) for name in ("age", "born", "visits", "extra")] == [0, None, 0, None]
        assert [change.new(name) for name in ("age", "born", "visits", "extra")] == [4, new_year, 2, 5]
        for name in ("best", "friends", "name"):
            with pytest.raises(KeyError):
                change.old(name)
        with realm.write():
            a.extra = [1]
        realm.refresh()
        with pytest.raises(KeyError, match=r"it holds an object or a collection"):
            log.take()[0].old("extra")


# --- cleared ----------------------------------------------------------------------------------------------------------


def test_clearing_is_told_where_nothing_came_after_it(realm: Realm) -> None:
    a = dog(realm, "a")
    with realm.write():
        a.numbers = [1, 2]  # type: ignore[assignment]
        a.colours = {"red", "blue"}  # type: ignore[assignment]
    numbers, colours = started(realm, a.numbers), started(realm, a.colours)

    def told(write: Callable[[], object]) -> tuple[CollectionChange, CollectionChange]:
        with realm.write():
            write()
        realm.refresh()
        return numbers[0].take()[0], colours[0].take()[0]

    cleared = CollectionChange((0, 1), cleared=True)
    assert told(lambda: (a.numbers.clear(), a.colours.clear())) == (cleared, cleared)
    came = CollectionChange((), (0, 1))
    assert told(lambda: (a.numbers.extend([1, 2]), a.colours.update({"red", "blue"}))) == (came, came)
    removed = CollectionChange((0, 1))
    assert told(lambda: (a.numbers.pop(), a.numbers.pop(), a.colours.remove("red"), a.colours.remove("blue"))) == (
        removed,
        removed,
    )
    told(lambda: (a.numbers.extend([1, 2]), a.colours.update({"red", "blue"})))
    replaced = told(lambda: (a.numbers.clear(), a.numbers.append(3), a.colours.clear(), a.colours.add("green")))
    assert replaced == (CollectionChange((0, 1), (0,)), CollectionChange((0, 1), (0,)))
    numbers[1].invalidate()
    colours[1].invalidate()


def test_the_end_of_the_owner_is_told_once(realm: Realm) -> None:
    """Whatever comes afterwards, also another object with the same key."""
    a, b = dog(realm, "a"), dog(realm, "b")
    with realm.write():
        a.friends, a.pack, a.colours, a.numbers = [b], {b}, {"red"}, [1, 2]  # type: ignore[assignment]
        a.scores, a.roles, a.extra, b.best = {"x": 1}, {"y": b}, {"z": [1]}, a  # type: ignore[assignment]
    observed = {
        "list": (a.friends, 1), "set": (a.pack, 1), "strings": (a.colours, 1), "numbers": (a.numbers, 2),
        "results of a list": (a.friends.sort("name"), 1), "backlinks": (a.linking_objects(Dog, "best"), 1),
        "list in Mixed": (a.extra["z"], 1), "sections": (a.friends.sort("name").sectioned("age"), 0),
        "dictionary": (a.scores, 1), "dictionary of objects": (a.roles, 1), "dictionary in Mixed": (a.extra, 1),
    }  # fmt: skip
    pairs = {name: (*started(realm, each), size) for name, (each, size) in observed.items()}
    one, token = started(realm, a)
    with realm.write():
        a.numbers.append(3)
        b.age = 50
        realm.delete(a)
    realm.refresh()
    for name, (log, _, size) in pairs.items():
        (change,) = log.take()
        assert (change.root_deleted, len(change.deletions)) == (True, size), name
        assert (not change.insertions, not change.modifications) == (True, True), name
    assert one.take() == [ObjectChange(deleted=True)]
    with realm.write():
        again = realm.create(Dog, name="a", numbers=[1], friends=[b])
    realm.refresh()
    with realm.write():
        again.numbers.append(2)
        b.age = 51
        realm.delete_all()
    realm.refresh()
    for name, (log, token, _) in pairs.items():
        assert (log.take(), token.is_valid) == ([], False), name
    assert one.take() == []


def test_what_goes_away_entirely(realm: Realm, open_realm: OpenRealm) -> None:
    other = open_realm(Dog)
    log, token = started(realm, realm.objects(Dog))
    with token:
        with other.write():
            other.delete_all()
        with other.write():
            other.create(Dog, name="a")
        realm.refresh()
        assert log.take() == [CollectionChange((0, 1, 2), (0,))]


# --- events of a Realm ------------------------------------------------------------------------------------------------


def test_a_changed_schema_is_told(realm: Realm, tmp_path: Path) -> None:
    events = Log()
    log, token = started(realm, realm.objects(Dog))
    with token, realm.observe(events):
        Cat = type("Cat", (Model,), {"__annotations__": {"name": "str"}, "__module__": __name__})

        def run() -> None:
            with Realm.open(RealmConfiguration(tmp_path / "test.realm", schema=[Cat])) as other, other.write():
                other.create(Cat, name="x")

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        realm.refresh()
        assert events.take() == [SCHEMA, CHANGE]
        assert all(change.is_empty or change.modifications for change in log.take())
        with realm.write():
            dog(realm, "a").age = 4
        assert events.take() == [CHANGE]


# --- trimmed logs -----------------------------------------------------------------------------------------------------


def test_without_logs_everything_is_compared(open_realm: OpenRealm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_LOGS_KEPT", 2)
    realm, other = (open_realm(Dog, path=None, in_memory="trimmed") for _ in range(2))
    with realm.write():
        for name in "abc":
            realm.create(Dog, name=name, numbers=[1])
    a = dog(realm, "a")
    observed = [realm.objects(Dog), realm.objects(Dog).sort("name", descending=True), a, a.numbers, a.colours, a.scores]
    pairs = [started(realm, each) for each in observed]
    realm.invalidate()
    with other.write():
        other.delete(dog(other, "b"))
    for number in range(70):
        with other.write():
            if number < 5:
                other.create(Dog, name=f"x{number}")
                dog(other, "a").numbers.append(number)
            dog(other, "a").colours.add(f"{number % 5}")
            dog(other, "a").age = number
    realm.refresh()
    changes = [log.take() for log, _ in pairs]
    assert changes[0] == [CollectionChange((1,), (2, 3, 4, 5, 6), (0, 2), (0, 1))]
    assert changes[1] == [CollectionChange((1,), (0, 1, 2, 3, 4), (0, 2), (5, 6))]
    assert changes[2][0].changed[:2] == ("name", "age")
    assert changes[3] == [CollectionChange((0,), tuple(range(6)))]
    assert changes[4] == [CollectionChange((), tuple(range(5)))]
    assert changes[5] == []
    with realm.write():
        a.numbers.append(1)
    realm.refresh()
    assert pairs[3][0].take() == [CollectionChange((), (6,))]
    for _, token in pairs:
        token.invalidate()


# --- cost -------------------------------------------------------------------------------------------------------------


def test_one_change_costs_little_in_many_objects(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change set is found from what was written: nothing is asked again as a whole, no list is read."""
    with realm.write():
        for number in range(2000):
            realm.create(Dog, name=f"{number:04}", age=number % 50)
        a = dog(realm, "a")
        a.friends = list(realm.objects(Dog))  # type: ignore[assignment]
        a.colours = {f"{number}" for number in range(2000)}  # type: ignore[assignment]
        a.numbers = list(range(2000))  # type: ignore[assignment]
    dogs = realm.objects(Dog)
    results = [
        dogs,
        dogs.where(Dog.age > 10),
        dogs.sort("age"),
        dogs.where(Dog.age > 3).sort("name", descending=True),
        dogs.sort("age", descending=True).sort("name"),
    ]
    pairs = [started(realm, observed) for observed in [*results, a.friends, a.numbers, a.colours]]
    asked: list[int] = []
    find_among = query_run.find_among

    def counting(reader: Any, query: Any, cls: Any, candidates: Any) -> Any:
        asked.append(len(list(candidates)))
        return find_among(reader, query, cls, candidates)

    def forbidden(*_: Any) -> Any:
        raise AssertionError("everything was asked again")

    changed = dog(realm, "1000")
    monkeypatch.setattr(query_run, "find", forbidden)
    monkeypatch.setattr(query_run, "find_among", counting)
    monkeypatch.setattr("syncline.realm.observing._OwnedObserver.stored", forbidden)
    with realm.write():
        changed.age = 33
        a.friends.append(a)
        a.numbers[5] = 6
    realm.refresh()
    told = [log.take() for log, _ in pairs[:-2]]
    assert [len(changes) for changes in told] == [1] * 6
    assert len(told[1][0].insertions) == 1
    assert told[2][0].moves
    assert pairs[-2][0].take() == [CollectionChange((), (), (5,), (5,))]
    assert sum(asked) < 1000
    for _, token in pairs:
        token.invalidate()


def test_the_first_of_many_are_kept_up_to_date_from_what_was_written(
    realm: Realm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sorted and limited: only who leaves the first has everything asked again."""
    with realm.write():
        realm.delete_all()
        for number in range(300):
            realm.create(Dog, name=f"{number:03}", age=number)
    dogs = realm.objects(Dog)
    oldest, first, few = (
        dogs.sort("age", descending=True).limit(3),
        dogs.limit(2),
        dogs.where(Dog.age > 297).sort("age").limit(50),
    )
    pairs = [started(realm, observed) for observed in (oldest, first, few)]
    whole: list[Any] = []
    find = query_run.find

    def counting(reader: Any, query: Any, *more: Any) -> Any:
        whole.append(query)
        return find(reader, query, *more)

    monkeypatch.setattr(query_run, "find", counting)

    def told(write: Callable[[], object]) -> list[Any]:
        whole.clear()
        with realm.write():
            write()
        realm.refresh()
        return [log.take() for log, _ in pairs]

    nobody: list[Any] = [[], [], []]
    assert (told(lambda: setattr(dog(realm, "100"), "age", 50)), whole) == (nobody, [])
    assert told(lambda: setattr(dog(realm, "100"), "age", 1000)) == [
        [CollectionChange((2,), (0,))],
        [],
        [CollectionChange((), (2,))],
    ]
    assert whole == []
    assert told(lambda: realm.create(Dog, name="new", age=299)) == [
        [CollectionChange((2,), (2,))],
        [],
        [CollectionChange((), (2,))],
    ]
    assert whole == []
    assert told(lambda: realm.delete(dog(realm, "298"))) == [[], [], [CollectionChange((0,))]]
    assert whole == []
    assert told(lambda: setattr(dog(realm, "100"), "age", 0)) == [
        [CollectionChange((0,), (2,))],
        [],
        [CollectionChange((2,))],
    ]
    assert len(whole) == 1  # somebody has to take the third place
    assert told(lambda: realm.delete(dog(realm, "000"))) == [[], [CollectionChange((0,), (1,))], []]
    assert [each.name for each in oldest] == ["299", "new", "297"]
    for _, token in pairs:
        token.invalidate()


def test_lists_that_do_not_hold_what_changed_are_not_asked(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{number:02}" for number in range(30)]
    with realm.write():
        for name in names:
            realm.create(Dog, name=name, friends=[dog(realm, "a")])
        dog(realm, "00").friends.append(dog(realm, "b"))
    some = [dog(realm, name) for name in names]
    pairs = [started(realm, each.friends.where(Dog.age < 5).sort("age").limit(9)) for each in some]
    pairs += [started(realm, each.friends.where(Dog.age < 5)) for each in some]
    asked: list[Any] = []
    find = query_run.find

    def counting(reader: Any, *more: Any) -> Any:
        asked.append(more)
        return find(reader, *more)

    monkeypatch.setattr(query_run, "find", counting)

    def told(write: Callable[[], object]) -> tuple[int, int]:
        """How many lists were asked, and how many observers were told something."""
        asked.clear()
        with realm.write():
            write()
        realm.refresh()
        return len(asked), sum(len(log.take()) for log, _ in pairs)

    assert told(lambda: setattr(dog(realm, "c"), "age", 9)) == (0, 0)
    assert told(lambda: realm.create(Dog, name="new", age=1)) == (0, 0)
    assert told(lambda: setattr(dog(realm, "b"), "age", 9)) == (2, 2)
    assert told(lambda: some[3].friends.append(dog(realm, "c"))) == (2, 0)
    assert told(lambda: setattr(dog(realm, "c"), "age", 0)) == (2, 2)
    assert told(lambda: some[4].friends.append(dog(realm, "new"))) == (2, 2)
    asked.clear()
    assert told(lambda: realm.delete(dog(realm, "new")))[1] == 2
    assert told(lambda: realm.delete(dog(realm, "a"))) == (60, 60)
    for _, token in pairs:
        token.invalidate()


# --- other processes --------------------------------------------------------------------------------------------------

PROGRAM = """
import sys, time
from syncline import Field, Model, Realm, RealmConfiguration

class Dog(Model):
    name: str = Field(primary_key=True)

with Realm.open(RealmConfiguration(sys.argv[1], schema=[Dog])) as realm:
    for line in sys.stdin:
        with realm.write():
            realm.create(Dog, name=line.strip())
        print(time.time(), flush=True)
"""


def test_commits_of_other_processes_arrive_by_themselves(tmp_path: Path) -> None:
    path = tmp_path / "dogs.realm"
    Small = type("Dog", (Model,), {"__annotations__": {"name": "str"}, "name": Field(primary_key=True)})
    assert watch._INTERVAL <= 0.1  # they are looked for often enough to arrive within 200 ms

    async def main(writer: subprocess.Popen[str]) -> None:
        assert writer.stdin is not None
        with Realm.open(RealmConfiguration(path, schema=[Small])) as realm:
            async for change in realm.objects(Small).changes(frozen=False):
                names = [each.name for each in change.collection]
                assert len(names) == len(change.insertions) + (len(names) - 1 if names else 0)
                if len(names) == 3:
                    break
                writer.stdin.write(f"{len(names)}\n")
                writer.stdin.flush()

    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            asyncio.run(asyncio.wait_for(main(process), 60))
        finally:
            assert process.stdin is not None
            process.stdin.close()


# --- mirrors ----------------------------------------------------------------------------------------------------------


def shown(element: Any) -> Any:
    return (element.name, element.age) if isinstance(element, Model) else element


class SequenceMirror:
    """A copy of results, a list or a set that only change sets keep up to date, and only now and then."""

    def __init__(self, observed: Any) -> None:
        self.observed = observed
        self.copy = [shown(each) for each in observed]
        self.pending: CollectionChange | None = None
        self.has_ended = False
        self.token = observed.observe(self)

    def __call__(self, observed: Any, change: Any) -> None:
        if not change.initial:
            assert not change.is_empty
            self.pending = change if self.pending is None else merged(self.pending, change)

    def check(self) -> None:
        change, self.pending = self.pending or CollectionChange(), None
        if self.has_ended:
            assert change.is_empty
            return
        if change.root_deleted:
            self.has_ended = True
            assert change.deletions == tuple(range(len(self.copy)))
            return
        new = [shown(each) for each in self.observed]
        assert len(set(change.deletions)) == len(change.deletions)
        for index in reversed(change.deletions):
            del self.copy[index]
        for index in change.insertions:
            self.copy.insert(index, new[index])
        for index in change.modifications_new:
            self.copy[index] = new[index]
        assert self.copy == new, change
        assert {source for source, _ in change.moves} <= set(change.deletions)
        assert {target for _, target in change.moves} <= set(change.insertions)
        assert len(change.modifications) == len(change.modifications_new)


class DictionaryMirror:
    """The same of a dictionary."""

    def __init__(self, observed: Any) -> None:
        self.observed = observed
        self.copy = {key: shown(value) for key, value in observed.items()}
        self.pending: DictionaryChange | None = None
        self.token = observed.observe(self)

    def __call__(self, observed: Any, change: Any) -> None:
        if not change.initial:
            assert not change.is_empty
            self.pending = change if self.pending is None else merged(self.pending, change)

    def check(self) -> None:
        change, self.pending = self.pending or DictionaryChange(), None
        new = {key: shown(value) for key, value in self.observed.items()}
        for key in change.deletions:
            del self.copy[key]
        for key in change.insertions:
            assert key not in self.copy
            self.copy[key] = new[key]
        for key in change.modifications:
            assert key in self.copy
            self.copy[key] = new[key]
        assert self.copy == new, change


class ObjectMirror:
    """Old and new values of an object follow each other."""

    def __init__(self, observed: Any) -> None:
        self.observed = observed
        self.age = observed.age
        self.token = observed.observe(self)

    def __call__(self, observed: Any, change: ObjectChange) -> None:
        if "age" in change.changed:
            assert change.old("age") == self.age
            self.age = change.new("age")

    def check(self) -> None:
        assert self.age == self.observed.age


NUMBER = st.integers(0, 9)
STEP = st.one_of(
    st.tuples(st.sampled_from(["create", "delete", "pack", "unpack", "role", "unrole", "paint", "wash"]), NUMBER),
    st.tuples(st.sampled_from(["score", "unscore", "number", "replace", "remove"]), NUMBER),
    st.tuples(st.sampled_from(["age", "best", "insert", "move"]), NUMBER, NUMBER),
    st.tuples(st.sampled_from(["clear pack", "clear colours", "clear scores", "clear numbers", "commit", "undo"])),
    st.tuples(st.sampled_from(["refresh", "check"])),
)


class World:
    """A Realm with mirrors, and who writes."""

    def __init__(self, realm: Realm, writer: Realm) -> None:
        self.realm = realm
        self.writer = writer
        self.made = 0

    def carry_out(self, kind: str, *numbers: int) -> None:
        """One random step in the open write transaction."""
        writer = self.writer
        owner = dog(writer, "owner")
        others = [each for each in writer.objects(Dog) if each.name != "owner"]
        some = others[numbers[0] % len(others)] if others and numbers else None
        match kind:
            case "create":
                self.made += 1
                writer.create(Dog, name=f"n{self.made}", age=numbers[0])
            case "commit":
                writer.commit_write()
                writer.begin_write()
            case "undo":
                writer.cancel_write()
                writer.begin_write()
            case "clear pack":
                owner.pack.clear()
            case "clear colours":
                owner.colours.clear()
            case "clear scores":
                owner.scores.clear()
            case "clear numbers":
                owner.numbers.clear()
            case "paint":
                owner.colours.add(f"{numbers[0]}")
            case "wash":
                owner.colours.discard(f"{numbers[0]}")
            case "score":
                owner.scores[f"{numbers[0] % 4}"] = numbers[0]
            case "unscore":
                owner.scores.pop(f"{numbers[0] % 4}", None)
            case "unrole":
                owner.roles.pop(f"{numbers[0] % 4}", None)
            case "number":
                owner.numbers.insert(numbers[0], numbers[0])
            case "replace" if len(owner.numbers):
                owner.numbers[numbers[0] % len(owner.numbers)] = 77
            case "remove" if len(owner.numbers):
                del owner.numbers[numbers[0] % len(owner.numbers)]
            case "move" if len(owner.numbers):
                size = len(owner.numbers)
                owner.numbers.move(numbers[0] % size, numbers[1] % size)
            case "age":
                (some or owner).age = numbers[1]
            case _ if some is not None:
                self.with_another(kind, owner, some, others, numbers)

    def with_another(self, kind: str, owner: Dog, some: Dog, others: list[Dog], numbers: tuple[int, ...]) -> None:
        match kind:
            case "delete":
                self.writer.delete(some)
            case "best":
                some.best = others[numbers[1] % len(others)]
            case "pack":
                owner.pack.add(some)
            case "unpack":
                owner.pack.discard(some)
            case "role":
                owner.roles[f"{numbers[0] % 4}"] = some
            case "insert":
                owner.friends.insert(numbers[1] % (len(owner.friends) + 1), some)


def mirrors_of(realm: Realm) -> list[SequenceMirror | DictionaryMirror | ObjectMirror]:
    owner, dogs = dog(realm, "owner"), realm.objects(Dog)
    sequences = [
        dogs,
        dogs.where(Dog.age > 4),
        dogs.sort("age"),
        dogs.sort("age", descending=True).sort("name"),
        dogs.where(Dog.age < 7).sort(Dog.age.desc(), Dog.name.desc()),
        dogs.sort("best.age"),
        dogs.sort("age").limit(3),
        dogs.distinct("age"),
        dogs.sort("name").distinct("age").limit(2),
        dogs.limit(4),
        dogs.where(Dog.age < 8).sort("age", descending=True).limit(2).distinct("age"),
        dogs.where(Dog.best.age > 3),
        owner.friends,
        owner.friends.where(Dog.age < 6),
        owner.friends.sort("age"),
        owner.friends.where(Dog.age < 9).sort("age").limit(2),
        owner.friends.sort("age").limit(2).distinct("age"),
        owner.friends.where(Dog.age >= 0).distinct("age"),
        dog(realm, "a").linking_objects(Dog, "friends"),
        dog(realm, "a").linking_objects(Dog, "best").where(Dog.age > 2).sort("age").limit(2),
        owner.pack,
        owner.colours,
        owner.numbers,
    ]
    return [
        *map(SequenceMirror, sequences),
        DictionaryMirror(owner.scores),
        DictionaryMirror(owner.roles),
        ObjectMirror(owner),
    ]


@settings(
    max_examples=int(os.environ.get("SYNCLINE_EXAMPLES", "30")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rounds=st.lists(st.lists(STEP, max_size=8), min_size=1, max_size=4), elsewhere=st.booleans())
def test_mirrors_follow_whatever_happens(
    open_realm: OpenRealm, rounds: list[list[tuple[Any, ...]]], elsewhere: bool
) -> None:
    name = str(uuid4())
    realm = open_realm(Dog, path=None, in_memory=name)
    world = World(realm, open_realm(Dog, path=None, in_memory=name) if elsewhere else realm)
    with realm.write():
        owner = realm.create(Dog, name="owner")
        for letter in "abc":
            owner.friends.append(realm.create(Dog, name=letter, age=ord(letter) % 7))
    mirrors = mirrors_of(realm)
    realm.refresh()
    for steps in rounds:
        world.writer.begin_write()
        for kind, *numbers in steps:
            if kind in ("refresh", "check"):
                world.writer.commit_write()
                realm.refresh()
                if kind == "check":
                    for mirror in mirrors:
                        mirror.check()
                world.writer.begin_write()
            else:
                world.carry_out(kind, *numbers)
        world.writer.commit_write()
        realm.refresh()
    for mirror in mirrors:
        mirror.check()
        mirror.token.invalidate()
    world.writer.close()
    realm.close()
