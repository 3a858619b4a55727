"""Changes as asynchronous iterators (spec/sdk.md §12.6)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from syncline import (
    Changes,
    CollectionChange,
    Dictionary,
    DictionaryChange,
    Field,
    List,
    Model,
    ObjectChange,
    Realm,
    RealmChange,
    RealmConfiguration,
    Set,
    WrongThreadError,
    WrongTransactionStateError,
)
from syncline.storage import evolution


class Dog(Model):
    name: str = Field(primary_key=True)
    age: int = 0
    friends: List[Dog]
    colours: Set[str]
    scores: Dictionary[int]


def on_a_loop(tmp_path: Path, body: Callable[[Realm], Awaitable[None]]) -> None:
    """Run ``body`` with a Realm of the loop."""

    async def main() -> None:
        with Realm.open(RealmConfiguration(tmp_path / "dogs.realm", schema=[Dog])) as realm:
            await asyncio.wait_for(body(realm), 60)

    asyncio.run(main())


def add(realm: Realm, *names: str) -> None:
    with realm.write():
        for name in names:
            realm.create(Dog, name=name)


def add_elsewhere(realm: Realm, *names: str) -> None:
    do_elsewhere(realm, lambda other: [other.create(Dog, name=name) for name in names])


def do_elsewhere(realm: Realm, write: Callable[[Realm], object]) -> None:
    """Write in another thread, through its own Realm."""

    def run() -> None:
        with Realm.open(realm.config) as other, other.write():
            write(other)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


async def settle() -> None:
    """Let due rounds happen."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_results(tmp_path: Path) -> None:
    async def body(realm: Realm) -> None:
        names: list[list[str]] = []
        async for change in realm.objects(Dog).sort("name").changes():
            names.append([dog.name for dog in change.collection])
            if change.initial:
                assert change == CollectionChange(initial=True)
                add(realm, "b")
            elif len(names) == 2:
                assert change == CollectionChange(insertions=(0,))
                add_elsewhere(realm, "a")
            else:
                assert change == CollectionChange(insertions=(0,))
                break
        assert names == [[], ["b"], ["a", "b"]]
        assert not any(known() is not None and known().is_valid for known in realm._context.observers._tokens)  # type: ignore[union-attr]

    on_a_loop(tmp_path, body)


def test_what_a_slow_consumer_did_not_take_is_merged(tmp_path: Path) -> None:
    async def body(realm: Realm) -> None:
        add(realm, "m")
        changes = realm.objects(Dog).sort("name").changes(frozen=False)
        add(realm, "n")
        await settle()
        assert await anext(changes) == CollectionChange(initial=True)
        for name in "azb":
            add(realm, name)
            await settle()
        with realm.write():
            realm.delete(realm.get(Dog, "a") or [])
            realm.objects(Dog).where(Dog.name == "m").update(age=3)
        await settle()
        change = await anext(changes)
        assert change == CollectionChange((), (0, 3), (0,), (1,))
        assert [dog.name for dog in change.collection] == ["b", "m", "n", "z"]
        add(realm, "c")
        await settle()
        with realm.write():
            realm.delete(realm.get(Dog, "c") or [])
        await settle()
        assert changes._inbox.item is None
        await changes.aclose()

    on_a_loop(tmp_path, body)


def test_objects(tmp_path: Path) -> None:
    async def body(realm: Realm) -> None:
        add(realm, "a")
        dog = realm.objects(Dog)[0]
        seen: list[ObjectChange] = []
        async for change in dog.changes():
            seen.append(change)
            if change.deleted:
                continue
            with realm.write():
                if len(seen) < 3:
                    dog.age += 1
                    dog.colours.add("red")
                else:
                    realm.delete(dog)
        assert seen == [
            ObjectChange(initial=True),
            ObjectChange(changed=("age", "colours")),
            ObjectChange(changed=("age",)),
            ObjectChange(deleted=True),
        ]
        assert (seen[2].old("age"), seen[2].new("age")) == (1, 2)
        assert seen[3].object is None

    on_a_loop(tmp_path, body)


def test_an_object_that_goes_before_the_first_item(tmp_path: Path) -> None:
    async def body(realm: Realm) -> None:
        add(realm, "a")
        dog = realm.objects(Dog)[0]
        changes = dog.changes()
        do_elsewhere(realm, lambda other: other.delete_all())
        assert [change async for change in changes] == [ObjectChange(deleted=True, initial=True)]

    on_a_loop(tmp_path, body)


def test_collections(tmp_path: Path) -> None:
    async def body(realm: Realm) -> None:
        add(realm, "a")
        dog = realm.objects(Dog)[0]
        streams: list[Changes[Any]] = [dog.friends.changes(), dog.colours.changes(), dog.scores.changes()]
        firsts = [await anext(stream) for stream in streams]
        assert firsts == [CollectionChange(initial=True)] * 2 + [DictionaryChange(initial=True)]
        with realm.write():
            dog.friends.append(dog)
            dog.colours.add("red")
            dog.scores["x"] = 1
        assert [await anext(stream) for stream in streams] == [
            CollectionChange(insertions=(0,)),
            CollectionChange(insertions=(0,)),
            DictionaryChange(insertions=("x",)),
        ]
        with realm.write():
            realm.delete(dog)
        lasts = [[change async for change in stream] for stream in streams]
        assert lasts == [
            [CollectionChange((0,), root_deleted=True)],
            [CollectionChange((0,), root_deleted=True)],
            [DictionaryChange(("x",), root_deleted=True)],
        ]

    on_a_loop(tmp_path, body)


def test_realms(tmp_path: Path) -> None:
    async def body(realm: Realm) -> None:
        version = realm.version
        changes = realm.changes()
        add(realm, "a")
        assert await anext(changes) == RealmChange(version + 1, ("change",), initial=True)
        add_elsewhere(realm, "b")
        assert await anext(changes) == RealmChange(version + 2, ("change",))
        add(realm, "c")
        add(realm, "d")
        assert await anext(changes) == RealmChange(version + 4, ("change",))
        realm.close()
        assert [change async for change in changes] == []

    on_a_loop(tmp_path, body)


def test_a_first_item_of_a_realm_needs_no_commit(tmp_path: Path) -> None:
    async def body(realm: Realm) -> None:
        async with realm.changes() as changes:
            assert await anext(changes) == RealmChange(realm.version, initial=True)

    on_a_loop(tmp_path, body)


def test_cancelling_ends_it(tmp_path: Path) -> None:
    async def body(realm: Realm) -> None:
        changes = realm.objects(Dog).changes()
        await anext(changes)

        async def consume() -> None:
            async for _ in changes:
                pass

        task = asyncio.ensure_future(consume())
        await settle()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not changes.token.is_valid
        with pytest.raises(StopAsyncIteration):
            await anext(changes)

    on_a_loop(tmp_path, body)


def test_cancelling_in_the_middle_of_the_body_ends_it(tmp_path: Path) -> None:
    async def body(realm: Realm) -> None:
        reached: asyncio.Queue[CollectionChange] = asyncio.Queue()

        async def consume() -> None:
            async for change in realm.objects(Dog).changes():
                reached.put_nowait(change)
                await asyncio.sleep(60)

        task = asyncio.ensure_future(consume())
        await reached.get()
        assert len(realm._context.observers._alive()) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert realm._context.observers._alive() == []

    on_a_loop(tmp_path, body)


def test_dropping_and_closing_end_it_without_a_warning(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    async def body(realm: Realm) -> None:
        token = realm.objects(Dog).changes().token
        gc.collect()
        assert token.is_valid  # this test holds it
        del token
        gc.collect()
        assert realm._context.observers._alive() == []
        async with realm.objects(Dog).changes() as changes:
            await anext(changes)
        assert not changes.token.is_valid
        waiting = asyncio.ensure_future(anext(realm.objects(Dog).where(Dog.age > 3).changes(), None))
        await settle()
        assert waiting.done()
        stream = realm.objects(Dog).changes()
        await anext(stream)
        waiting = asyncio.ensure_future(anext(stream, None))
        await settle()
        realm.close()
        assert await waiting is None

    on_a_loop(tmp_path, body)
    assert not [each for each in recwarn if issubclass(each.category, ResourceWarning)]


def test_a_token_can_be_invalidated_on_another_thread(tmp_path: Path) -> None:
    async def body(realm: Realm) -> None:
        changes = realm.objects(Dog).changes()
        await anext(changes)
        waiting = asyncio.ensure_future(anext(changes, None))
        await settle()
        await asyncio.to_thread(changes.token.invalidate)
        assert await waiting is None

    on_a_loop(tmp_path, body)


def test_own_commits_can_be_left_out(tmp_path: Path) -> None:
    async def body(realm: Realm) -> None:
        changes, realm_changes = realm.objects(Dog).changes(), realm.changes()
        await anext(changes)
        await anext(realm_changes)
        with realm.write(without_notifying=[changes.token, realm_changes.token]):
            realm.create(Dog, name="mine")
        await settle()
        assert (changes._inbox.item, realm_changes._inbox.item) == (None, None)
        add(realm, "b")
        assert await anext(changes) == CollectionChange(insertions=(1,))
        assert (await anext(realm_changes)).events == ("change",)

    on_a_loop(tmp_path, body)


def test_where_nothing_would_ever_come(tmp_path: Path) -> None:
    realm = Realm.open(RealmConfiguration(tmp_path / "dogs.realm", schema=[Dog]))

    async def main() -> None:
        with pytest.raises(WrongThreadError, match=r"was opened outside of an event loop"):
            realm.objects(Dog).changes()
        with pytest.raises(WrongThreadError):
            realm.changes()
        with Realm.open(realm.config) as other:
            with other.write(), pytest.raises(WrongTransactionStateError):
                other.objects(Dog).changes()
            frozen = other.freeze()
            with pytest.raises(WrongTransactionStateError, match=r"a frozen Realm never changes"):
                frozen.objects(Dog).changes()
            frozen.close()

    asyncio.run(main())
    realm.close()


def test_an_ended_loop_is_no_trouble(tmp_path: Path) -> None:
    kept: list[Any] = []

    async def main() -> None:
        realm = Realm.open(RealmConfiguration(tmp_path / "dogs.realm", schema=[Dog]))
        changes = realm.objects(Dog).changes()
        await anext(changes)
        kept.extend((realm, changes))

    asyncio.run(main())
    realm, changes = kept
    changes.token.invalidate()
    with contextlib.suppress(WrongThreadError):
        realm.close()


# --- frozen views -----------------------------------------------------------------------------------------------------


def test_items_show_what_they_speak_of_for_good(tmp_path: Path) -> None:
    async def body(realm: Realm) -> None:
        changes = realm.objects(Dog).sort("name").changes()
        first = await anext(changes)
        add(realm, "b")
        second = await anext(changes)
        add(realm, "a", "c")
        third = await anext(changes)
        with realm.write():
            realm.delete_all()
        views = [[dog.name for dog in change.collection] for change in (first, second, third)]
        assert views == [[], ["b"], ["a", "b", "c"]]
        assert third.collection.is_frozen
        assert await asyncio.to_thread(lambda: [dog.name for dog in third.collection]) == ["a", "b", "c"]
        assert third.insertions == (0, 2)

    on_a_loop(tmp_path, body)


def test_objects_and_collections_of_items_are_frozen(tmp_path: Path) -> None:
    async def body(realm: Realm) -> None:
        add(realm, "a")
        dog = realm.objects(Dog)[0]
        with realm.write():
            dog.friends.append(dog)
        of_dog, of_friends, of_scores = dog.changes(), dog.friends.changes(), dog.scores.changes()
        streams: list[Changes[Any]] = [of_dog, of_friends, of_scores]
        for stream in streams:
            await anext(stream)
        with realm.write():
            dog.age = 7
            dog.scores["x"] = 1
        changed, friends, scores = [await anext(stream) for stream in streams]
        with realm.write():
            dog.age = 8
            dog.scores["y"] = 2
            dog.friends.clear()
        assert (changed.object.age, changed.object.is_frozen) == (7, True)
        assert [friend.age for friend in friends.collection] == [7]
        assert dict(scores.collection) == {"x": 1}
        with realm.write():
            realm.delete(dog)
        lasts = [[change async for change in stream][-1] for stream in streams]
        assert lasts[0].object is None
        assert [list(last.collection) for last in lasts[1:]] == [[], []]

    on_a_loop(tmp_path, body)


def test_views_that_are_dropped_pin_no_version(tmp_path: Path) -> None:
    async def body(realm: Realm) -> None:
        seen = 0
        async for change in realm.objects(Dog).changes():
            assert len(change.collection) == seen
            seen += 1
            if seen > 20:
                break
            add(realm, f"{seen}")
        del change
        gc.collect()
        assert realm.number_of_versions == 1

    on_a_loop(tmp_path, body)


def test_live_collections_where_they_are_wanted(tmp_path: Path) -> None:
    async def body(realm: Realm) -> None:
        add(realm, "a")
        dog = realm.objects(Dog)[0]
        for stream in (realm.objects(Dog).changes(frozen=False), dog.friends.changes(frozen=False)):
            change = await anext(stream)
            assert not change.collection.is_frozen
        assert (await anext(dog.changes(frozen=False))).object is dog

    on_a_loop(tmp_path, body)


def test_a_class_removed_elsewhere_ends_its_streams(tmp_path: Path) -> None:
    path = tmp_path / "removed.realm"
    with Realm.open(path, schema=[Dog]) as realm, realm.write():
        realm.create(Dog, name="a")

    async def main() -> None:
        with Realm.open(path) as owner, Realm.open(path) as watcher:
            dogs = watcher.objects("Dog")
            streams: list[Any] = [dogs.changes(), dogs.sectioned("name").changes(), dogs[0].changes()]
            for stream in streams:
                assert (await anext(stream)).initial
            with owner.write():
                tx = owner._context.tx
                assert tx is not None
                evolution.erase_class(tx.workspace, tx.catalogue.classes["Dog"], True)
            whole, sectioned, one = [[change async for change in stream] for stream in streams]
            assert [change.deletions for change in whole] == [(0,)]
            assert [change.sections_deleted for change in sectioned] == [(0,)]
            assert [change.deleted for change in one] == [True]

    asyncio.run(asyncio.wait_for(main(), 20))
