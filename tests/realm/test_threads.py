"""Threads and event loops: who waits for whom, what may be touched where (spec/sdk.md §4.1–4.3)."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.realm.conftest import OpenRealm

from syncline import (
    Backlinks,
    CollectionChange,
    Counter,
    Dictionary,
    EmbeddedModel,
    Field,
    IllegalOperationError,
    List,
    Model,
    QueryError,
    Realm,
    RealmConfiguration,
    Set,
    ThreadSafeReference,
    TypeMismatchError,
    WriteTimeoutError,
    WrongThreadError,
    WrongTransactionStateError,
)
from syncline.storage import watch


class Tag(EmbeddedModel):
    text: str = ""


class Dog(Model):
    name: str = Field(primary_key=True)
    age: int = 0
    friends: List[Dog]
    nicknames: Set[str]
    pack: Set[Dog]
    scores: Dictionary[int]
    extra: Any = None
    tag: Tag | None
    visits: Counter = 0
    lovers: Backlinks[Dog] = Backlinks.of("friends")


def kennel(open_realm: OpenRealm) -> tuple[Realm, Dog]:
    realm = open_realm(Dog, Tag)
    with realm.write():
        rex = realm.create(Dog, name="Rex", nicknames={"R"}, scores={"a": 1}, extra=[{"k": 1}], tag={"text": "x"})
        rex.friends.append(rex)
        rex.pack.add(rex)
    return realm, rex


def elsewhere(action: Callable[[], object]) -> None:
    """Run it on another thread, to its end."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - whatever it raises
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    if failed:
        raise failed[0]


# --- readers and writers ----------------------------------------------------------------------------------------------


def test_readers_wait_for_nobody_and_nobody_waits_for_them(open_realm: OpenRealm) -> None:
    realm, rex = kennel(open_realm)
    written, looked = threading.Event(), threading.Event()

    def write() -> None:
        with Realm.open(realm.config) as mine:
            with mine.write():
                mine.create(Dog, name="Bo")
                mine.objects(Dog).update(age=7)
                written.set()
                assert looked.wait(20)
            with mine.write():  # while the loop of the reader is under way
                mine.create(Dog, name="Max")

    writer = threading.Thread(target=write)
    loop = iter(realm.objects(Dog))
    assert next(loop) is rex
    writer.start()
    assert written.wait(20)
    assert not realm.refresh()
    assert [dog.age for dog in realm.objects(Dog).where(Dog.name != "x").sort("age")] == [0]
    assert (len(realm.freeze().objects(Dog)), len(rex.lovers), dict(rex.scores)) == (1, 1, {"a": 1})
    elsewhere(lambda: Realm.open(realm.config).close())
    looked.set()
    writer.join(20)
    assert not writer.is_alive()
    assert next(loop, None) is None
    assert (rex.age, len(realm.objects(Dog))) == (0, 1)
    assert realm.refresh()
    assert (rex.age, len(realm.objects(Dog))) == (7, 3)


# --- confinement ------------------------------------------------------------------------------------------------------

#: What says something about the Python object alone, or does its work when it is used.
EVERYWHERE = {
    "realm": {
        "auto_refresh", "config", "has_pending_async_work", "in_migration", "in_write", "is_closed", "is_frozen",
        "number_of_versions", "path", "schema", "thaw", "transactional", "wait_for_change_release", "write",
        "write_async", "run_write", "on_callback_error", "dynamic",
    },
    "object": {"is_frozen", "is_managed", "realm", "thaw", "same_object"},
    "results": {"description", "is_frozen", "thaw", "sectioned", "live_table"},
    "collection": {"is_frozen", "thaw"},
    "counter": {"value", "pending", "is_increment_of"},
    "sections": {"is_frozen", "thaw", "results"},
    "section": {"thaw", "key"},
    "snapshot": set(),
}  # fmt: skip

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "where": (Dog.age > 1,), "filter": ("age > 1",), "sort": ("age",), "distinct": ("age",), "limit": (1,),
    "__getitem__": (0,), "Dog.__getitem__": ("age",), "Tag.__getitem__": ("text",),
    "Dictionary.update": ({"a": 1},), "index_of": ("age > 1",), "sum": ("age",), "min": ("age",),
    "max": ("age",), "average": ("age",), "get": (Dog, "Rex"), "objects": (Dog,), "create": (Dog,),
    "create_many": (Dog, []), "add": (Dog(name="x"),), "add_all": ([Dog(name="x")],), "write_soon": (list,),
    "async_begin": (list,), "async_cancel": (1,), "observe": (print,), "insert": (0, 1), "move": (0, 0),
    "swap": (0, 0), "section": (0,), "set": (1,), "linking_objects": (Dog, "friends"), "write_copy": ("x.realm",),
    "delete_at": (0,), "filter_py": (bool,),
}  # fmt: skip


def test_every_accessor_of_every_kind_keeps_to_its_thread(open_realm: OpenRealm, tmp_path: Path) -> None:
    """Whatever is public, and what Python calls by itself: nothing is left out by mistake."""
    realm, rex = kennel(open_realm)
    dogs = realm.objects(Dog)
    things: dict[str, list[Any]] = {
        "realm": [realm],
        "object": [rex, rex.tag],
        "results": [dogs, rex.friends.where(Dog.age < 9), rex.lovers, dogs.sort("name").limit(1)],
        "collection": [
            rex.friends, rex.nicknames, rex.pack, rex.scores, rex.extra, rex.extra[0],
        ],
        "counter": [rex.visits],
        "sections": [dogs.sectioned("age")],
        "section": [dogs.sectioned("age")[0]],
        "snapshot": [dogs.snapshot()],
    }  # fmt: skip
    silent: list[str] = []

    def check(kind: str, thing: Any, name: str) -> None:
        where = f"{kind} {type(thing).__name__}.{name}"
        try:
            value = getattr(thing, name)
            if not callable(value):
                silent.append(f"{where} is {value!r}")
                return
            arguments = ARGUMENTS.get(f"{type(thing).__name__}.{name}", ARGUMENTS.get(name))
            if arguments is None:
                parameters = inspect.signature(value).parameters.values()
                positional = [
                    each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
                ]
                arguments = tuple(rex for each in positional if each.default is each.empty)
            found = value(*arguments)
            if name in ("__iter__", "__reversed__", "items", "keys", "values"):
                found = list(found)
            silent.append(f"{where} gave {found!r}")
        except (WrongThreadError, QueryError, IllegalOperationError):  # nothing of the kind can be done anywhere
            return
        except Exception as error:  # noqa: BLE001 - it should have been the first of these
            silent.append(f"{where} raised {error!r}")

    def run() -> None:
        for kind, some in things.items():
            for thing in some:
                public = {name for name in dir(type(thing)) if not name.startswith("_")}
                if kind == "counter":
                    public -= set(dir(int))
                else:
                    public |= {"__len__", "__iter__", "__contains__", "__getitem__", "__reversed__"}
                for name in sorted(public - EVERYWHERE[kind]):
                    static = inspect.getattr_static(type(thing), name, None)
                    if static is not None and not isinstance(static, classmethod | staticmethod):
                        check(kind, thing, name)

    elsewhere(run)
    assert "\n".join(silent) == ""
    made: list[Any] = []

    def refer() -> None:
        for some in things.values():
            for thing in some:
                with pytest.raises((WrongThreadError, TypeMismatchError)):  # there are none of sections
                    made.append(ThreadSafeReference(thing))

    elsewhere(refer)
    assert made == []
    assert (rex.age, rex.name) == (0, "Rex")


# --- two Realms on one thread -----------------------------------------------------------------------------------------


def test_nobody_waits_for_a_write_transaction_of_the_same_thread(open_realm: OpenRealm) -> None:
    """It could not end while that one waits."""
    realm, other = open_realm(Dog, Tag), open_realm(Dog, Tag)
    with realm.write():
        for begin in (other.begin_write, other.write().__enter__):
            with pytest.raises(WrongTransactionStateError, match=r"another Realm of .* on this thread is in a write"):
                begin()
        with pytest.raises(WriteTimeoutError):
            other.begin_write(0.001)
        assert (realm.in_write, other.in_write) == (True, False)
        realm.create(Dog, name="Rex")
    with other.write():
        assert len(other.objects(Dog)) == 1


def test_a_write_transaction_that_was_forgotten_is_no_obstacle(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog, Tag)
    gc.disable()
    try:
        forgotten = Realm.open(realm.config)
        forgotten.begin_write()
        forgotten.create(Dog, name="nobody")
        cycle: list[object] = [forgotten]
        cycle.append(cycle)
        del forgotten, cycle
        with realm.write():
            assert len(realm.objects(Dog)) == 0
    finally:
        gc.enable()


# --- event loops ------------------------------------------------------------------------------------------------------


def test_a_loop_is_told_without_looking(open_realm: OpenRealm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits of the same process arrive because whoever made them says so, not because somebody polls."""
    monkeypatch.setattr(watch._Watcher, "_run", lambda self: None)
    open_realm(Dog, Tag).close()
    config = RealmConfiguration(tmp_path / "test.realm", schema=[Dog, Tag])

    def write() -> None:
        with Realm.open(config) as other, other.write():
            other.create(Dog, name="Bo")

    async def main() -> None:
        with Realm.open(config) as realm:
            arrived: asyncio.Queue[CollectionChange] = asyncio.Queue()
            with realm.objects(Dog).observe(lambda dogs, change: arrived.put_nowait(change)):
                assert (await asyncio.wait_for(arrived.get(), 20)).initial
                await asyncio.to_thread(write)
                assert (await asyncio.wait_for(arrived.get(), 20)).insertions == (0,)
                assert len(realm.objects(Dog)) == 1

    asyncio.run(main())


def test_a_realm_of_another_loop_says_so_instead_of_waiting(tmp_path: Path) -> None:
    config = RealmConfiguration(tmp_path / "test.realm", schema=[Dog, Tag])

    async def opened() -> Realm:
        return Realm.open(config)

    async def misuse(realm: Realm) -> None:
        for changes in (realm.changes, realm.objects(Dog).changes):
            with pytest.raises(WrongThreadError, match=r"was opened on another event loop"):
                changes()
        with pytest.raises(WrongTransactionStateError, match=r"does not belong to an event loop that runs"):
            await realm.run_write(list)
        with pytest.raises(WrongTransactionStateError):
            async with realm.write_async():
                pass
        with realm.write():
            realm.create(Dog, name=f"{len(realm.objects(Dog))}")

    ended = asyncio.run(opened())
    asyncio.run(misuse(ended))
    loop = asyncio.new_event_loop()
    idle = loop.run_until_complete(opened())
    asyncio.run(misuse(idle))
    told: list[CollectionChange] = []
    with idle.objects(Dog).observe(lambda dogs, change: told.append(change)):
        loop.run_until_complete(asyncio.sleep(0.01))
        assert [change.initial for change in told] == [True]
        assert loop.run_until_complete(idle.run_write(lambda: len(idle.objects(Dog)))) == 2
    for realm in (ended, idle):
        realm.close()
    loop.close()
