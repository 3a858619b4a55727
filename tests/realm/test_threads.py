"""Threads and event loops: who waits for whom, what may be touched where (spec/sdk.md §4.1–4.3)."""

from __future__ import annotations

import asyncio
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
    WrongThreadError,
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
        "write_async", "run_write", "on_callback_error",
    },
    "object": {"is_frozen", "is_managed", "realm", "thaw", "same_object"},
    "results": {"description", "is_frozen", "thaw", "sectioned"},
    "collection": {"is_frozen", "thaw"},
    "counter": {"value", "pending", "is_increment_of"},
    "sections": {"is_frozen", "thaw", "results"},
    "section": {"thaw", "key"},
    "snapshot": set(),
}  # fmt: skip

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "where": (Dog.age > 1,), "filter": ("age > 1",), "sort": ("age",), "distinct": ("age",), "limit": (1,),
    "__getitem__": (0,), "Dictionary.update": ({"a": 1},), "index_of": ("age > 1",), "sum": ("age",), "min": ("age",),
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
