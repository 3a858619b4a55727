"""Delivery on an event loop, and where it cannot go (spec/sdk.md §4.2, §4.3, §9.4)."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

from syncline import CollectionChange, Field, Model, Realm, RealmConfiguration
from syncline.realm.observers import CHANGE, REFRESH_REQUIRED
from syncline.realm.schedulers import AsyncioScheduler, ThreadScheduler, current_scheduler


class Dog(Model):
    name: str = Field(primary_key=True)


def config(folder: Path) -> RealmConfiguration:
    return RealmConfiguration(folder / "dogs.realm", schema=[Dog])


def add_elsewhere(folder: Path, name: str) -> None:
    """Commit in another thread, through its own Realm."""

    def run() -> None:
        with Realm.open(config(folder)) as realm, realm.write():
            realm.create(Dog, name=name)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


async def until(condition: Any) -> None:
    """Let the loop run until it holds."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never happened")


def test_a_loop_delivers_by_itself(tmp_path: Path) -> None:
    async def main() -> None:
        with Realm.open(config(tmp_path)) as realm:
            changes: list[CollectionChange] = []
            with realm.objects(Dog).observe(lambda dogs, change: changes.append(change)):
                assert changes == []
                await until(lambda: changes)
                assert changes.pop() == CollectionChange(initial=True)
                await asyncio.to_thread(add_elsewhere, tmp_path, "a")
                await until(lambda: changes)
                assert changes.pop() == CollectionChange(insertions=(0,))
                assert len(realm.objects(Dog)) == 1
                with realm.write():
                    realm.create(Dog, name="b")
                assert changes == []
                await until(lambda: changes)
                assert changes.pop() == CollectionChange(insertions=(1,))

    asyncio.run(main())


def test_without_auto_refresh_it_only_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        with Realm.open(config(tmp_path)) as realm:
            realm.auto_refresh = False
            assert not realm.auto_refresh
            assert len(realm.objects(Dog)) == 0
            events: list[str] = []
            with realm.observe(lambda realm, event: events.append(event)):
                await asyncio.to_thread(add_elsewhere, tmp_path, "a")
                await until(lambda: events)
                assert events[0] == REFRESH_REQUIRED
                assert len(realm.objects(Dog)) == 0
                realm.auto_refresh = True
                await until(lambda: CHANGE in events)
                assert len(realm.objects(Dog)) == 1

    asyncio.run(main())


def test_exceptions_go_to_the_loops_handler(tmp_path: Path) -> None:
    async def main() -> None:
        reported: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
        with Realm.open(config(tmp_path)) as realm:
            with realm.objects(Dog).observe(lambda dogs, change: 1 / 0):  # type: ignore[arg-type, return-value]
                await until(lambda: reported)
            assert isinstance(reported[0]["exception"], ZeroDivisionError)
            assert "an observer of a Realm raised an exception" in reported[0]["message"]

    asyncio.run(main())


def test_commits_during_a_write_are_told_afterwards(tmp_path: Path) -> None:
    async def main() -> None:
        with Realm.open(config(tmp_path)) as realm:
            changes: list[CollectionChange] = []
            with realm.objects(Dog).observe(lambda dogs, change: changes.append(change)):
                realm.begin_write()
                realm.create(Dog, name="a")
                await asyncio.sleep(0.05)
                assert len(changes) == 1
                realm.commit_write()
                await until(lambda: len(changes) == 2)
                assert changes[1].insertions == (0,)

    asyncio.run(main())


def test_after_the_realm_or_the_loop_is_gone_nothing_happens(tmp_path: Path) -> None:
    async def main() -> Realm:
        realm = Realm.open(config(tmp_path))
        closed = Realm.open(config(tmp_path))
        token = closed.objects(Dog).observe(lambda dogs, change: None)
        closed.close()
        token.invalidate()
        await asyncio.sleep(0)
        return realm

    realm = asyncio.run(main())
    add_elsewhere(tmp_path, "a")
    realm._delivery.wake()
    realm.close()


def test_a_plain_thread_waits_to_be_asked(tmp_path: Path) -> None:
    with Realm.open(config(tmp_path)) as realm:
        changes: list[CollectionChange] = []
        with realm.objects(Dog).observe(lambda dogs, change: changes.append(change)):
            assert not realm.pump(0)
            changes.clear()
            add_elsewhere(tmp_path, "a")
            assert changes == []
            assert realm.pump(5)
            assert [change.insertions for change in changes] == [(0,)]


def test_the_scheduler_is_that_of_the_place() -> None:
    async def inside() -> object:
        return current_scheduler()

    assert isinstance(current_scheduler(), ThreadScheduler)
    assert isinstance(asyncio.run(inside()), AsyncioScheduler)
