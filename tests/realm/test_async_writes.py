"""Writes that keep nobody waiting: queue, completions, groups (spec/sdk.md §5.3)."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from syncline import (
    ClosedRealmError,
    CollectionChange,
    DiskFullError,
    Field,
    InvalidExternalSchemaChangeError,
    InvalidSchemaVersionError,
    LimitExceededError,
    Model,
    Realm,
    RealmConfiguration,
    RealmError,
    WriteTimeoutError,
    WrongTransactionStateError,
)
from syncline.storage.file import RealmFile


class Dog(Model):
    name: str = Field(primary_key=True)
    age: int = 0


def config(folder: Path) -> RealmConfiguration:
    return RealmConfiguration(folder / "test.realm", schema=[Dog])


def on_a_loop(folder: Path, test: Callable[[Realm], Coroutine[Any, Any, None]]) -> list[str]:
    """Run ``test`` with a Realm on an event loop; the names that are in the file afterwards."""

    async def main() -> None:
        with Realm.open(config(folder)) as realm:
            await asyncio.wait_for(test(realm), 30)

    asyncio.run(main())
    with Realm.open(config(folder)) as realm:
        return [dog.name for dog in realm.objects(Dog).sort("name")]


async def until(condition: Callable[[], object]) -> None:
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never happened")


def maker(realm: Realm, name: str) -> Callable[[], Dog]:
    return lambda: realm.create(Dog, name=name)


class Writer:
    """Holds the writer lock on another thread until told otherwise."""

    def __init__(self, folder: Path) -> None:
        self._go = threading.Event()
        self._held = threading.Event()
        self._folder = folder
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with Realm.open(config(self._folder)) as realm, realm.write():
            realm.create(Dog, name="elsewhere")
            self._held.set()
            self._go.wait(20)

    def __enter__(self) -> Writer:
        self._thread.start()
        assert self._held.wait(20)
        return self

    def let_go(self) -> None:
        self._go.set()

    def __exit__(self, *error: object) -> None:
        self._go.set()
        self._thread.join()


# --- what applications use --------------------------------------------------------------------------------------------


def test_run_write_returns_what_the_function_returns(tmp_path: Path) -> None:
    async def test(realm: Realm) -> None:
        rex = await realm.run_write(lambda: realm.create(Dog, name="Rex", age=3))
        assert rex.age == 3
        assert not realm.in_write
        with pytest.raises(ZeroDivisionError):
            await realm.run_write(lambda: (realm.create(Dog, name="Bo"), 1 / 0))
        assert len(realm.objects(Dog)) == 1
        assert not realm.has_pending_async_work

    assert on_a_loop(tmp_path, test) == ["Rex"]


def test_the_loop_goes_on_while_another_writes(tmp_path: Path) -> None:
    async def test(realm: Realm) -> None:
        with Writer(tmp_path) as writer:
            future = realm.write_soon(maker(realm, "Rex"))
            for _ in range(5):
                await asyncio.sleep(0.002)
            assert not future.done()
            assert realm.has_pending_async_work
            writer.let_go()
            assert (await future).name == "Rex"
        assert len(realm.objects(Dog)) == 2  # it began at the newest version

    assert on_a_loop(tmp_path, test) == ["Rex", "elsewhere"]


def test_a_block_that_awaits(tmp_path: Path) -> None:
    async def test(realm: Realm) -> None:
        async with realm.write_async() as transaction:
            realm.create(Dog, name="Rex")
            later = realm.write_soon(maker(realm, "Bo"))
            await asyncio.sleep(0.01)
            assert realm.in_write
            assert not later.done()
            with pytest.raises(WrongTransactionStateError, match=r"transactions do not nest"):
                realm.begin_write()
            realm.create(Dog, name="Max")
        assert not realm.in_write or later.running()
        await later
        with pytest.raises(WrongTransactionStateError):
            transaction.cancel()
        with pytest.raises(ZeroDivisionError):
            await fail(realm)
        async with realm.write_async() as transaction:
            realm.create(Dog, name="nobody")
            transaction.cancel()
        async with realm.write_async():
            realm.create(Dog, name="Ida")
            realm.commit_write()

    async def fail(realm: Realm) -> None:
        async with realm.write_async():
            realm.create(Dog, name="nobody")
            _ = 1 / 0

    assert on_a_loop(tmp_path, test) == ["Bo", "Ida", "Max", "Rex"]


def test_a_block_waits_only_as_long_as_it_may(tmp_path: Path) -> None:
    async def test(realm: Realm) -> None:
        with Writer(tmp_path) as writer:
            with pytest.raises(WriteTimeoutError, match=r"did not end within 0.01 s"):
                async with realm.write_async(timeout=0.01):
                    pytest.fail("it was not its turn")
            waiting = asyncio.create_task(enter(realm))
            await asyncio.sleep(0.01)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            writer.let_go()
            await realm.run_write(maker(realm, "Rex"))

    async def enter(realm: Realm) -> None:
        async with realm.write_async():
            realm.create(Dog, name="nobody")

    assert on_a_loop(tmp_path, test) == ["Rex", "elsewhere"]


def test_a_long_block_is_mentioned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncline.realm.async_writes._LONG", 0.01)

    async def test(realm: Realm) -> None:
        async with realm.write_async():
            await until(lambda: caplog.records)

    with caplog.at_level(logging.WARNING, "syncline.realm"):
        on_a_loop(tmp_path, test)
    assert "nobody else can write meanwhile" in caplog.text


def test_cancelling_takes_a_write_from_the_queue(tmp_path: Path) -> None:
    async def test(realm: Realm) -> None:
        with Writer(tmp_path) as writer:
            first, second, third = (realm.write_soon(maker(realm, name)) for name in ("a", "b", "c"))
            assert second.cancel()
            assert second.cancelled()
            writer.let_go()
            await first
            await third
        assert not first.cancel()
        alone = realm.write_soon(maker(realm, "d"))
        assert alone.cancel()
        await until(lambda: not realm.has_pending_async_work)
        with realm.write():
            realm.create(Dog, name="e")

    assert on_a_loop(tmp_path, test) == ["a", "c", "e", "elsewhere"]


def test_observers_are_told_before_the_block(tmp_path: Path) -> None:
    async def test(realm: Realm) -> None:
        told: list[CollectionChange] = []
        with realm.objects(Dog).observe(lambda dogs, change: told.append(change)):
            await until(lambda: told)
            with Writer(tmp_path) as writer:
                future = realm.write_soon(lambda: [change.insertions for change in told[1:]])
                writer.let_go()
                assert await future == [(0,)]

    on_a_loop(tmp_path, test)


# --- the queue --------------------------------------------------------------------------------------------------------


def test_blocks_run_in_order_and_end_in_any_way(tmp_path: Path) -> None:
    async def test(realm: Realm) -> None:
        order: list[str] = []
        failed: list[Exception] = []

        def block(name: str, end: Callable[[], object]) -> Callable[[], None]:
            def run() -> None:
                order.append(name)
                realm.create(Dog, name=name)
                end()

            return run

        realm.async_begin(block("commit", realm.commit_write))
        realm.async_begin(block("async commit", realm.async_commit))
        realm.async_begin(block("nothing", lambda: None))
        realm.async_begin(block("cancel", realm.cancel_write))
        realm.async_begin(block("fails", lambda: 1 / 0), failed.append)
        assert order == []  # never at once
        await until(lambda: not realm.has_pending_async_work)
        assert order == ["commit", "async commit", "nothing", "cancel", "fails"]
        assert [type(error) for error in failed] == [ZeroDivisionError]
        reported: list[Exception] = []
        realm.on_callback_error = reported.append
        realm.async_begin(block("fails too", lambda: 1 / 0))
        await until(lambda: reported)
        assert not realm.in_write

    assert on_a_loop(tmp_path, test) == ["async commit", "commit"]


def test_a_commit_is_seen_at_once_and_durable_later(tmp_path: Path) -> None:
    async def test(realm: Realm) -> None:
        other = Realm.open(realm.config)
        done: list[Exception | None] = []
        seen: list[int] = []

        def block() -> None:
            realm.create(Dog, name="Rex")
            realm.async_commit(done.append)
            other.refresh()
            seen.append(len(other.objects(Dog)))

        realm.async_begin(block)
        await until(lambda: seen)
        assert seen == [1]
        await until(lambda: done)
        assert done == [None]
        with realm.write():  # also of a transaction that did not queue
            realm.create(Dog, name="Bo")
            realm.async_commit(done.append)
        await until(lambda: len(done) == 2)
        other.close()

    assert on_a_loop(tmp_path, test) == ["Bo", "Rex"]


def test_async_cancel(tmp_path: Path) -> None:
    async def test(realm: Realm) -> None:
        done: list[object] = []
        ran: list[str] = []
        first = realm.async_begin(lambda: ran.append("first"))
        assert realm.async_cancel(first)
        assert not realm.async_cancel(first)
        realm.begin_write()
        realm.create(Dog, name="Rex")
        commit = realm.async_commit(done.append)
        assert not realm.async_cancel(commit)
        await until(lambda: not realm.has_pending_async_work)
        assert (ran, done) == ([], [])

    assert on_a_loop(tmp_path, test) == ["Rex"]


def test_a_write_without_queueing_goes_first(tmp_path: Path) -> None:
    async def test(realm: Realm) -> None:
        order: list[str] = []
        other = Realm.open(realm.config)

        def queued() -> None:
            order.append("queued")
            realm.create(Dog, name=f"queued {len(order)}")
            realm.async_commit()

        for attempt, direct in enumerate((realm, other)):
            realm.async_begin(queued)
            if attempt:
                time.sleep(0.02)  # the request has the lock by now
            with direct.write():
                order.append("direct")
                direct.create(Dog, name=f"direct {len(order)}")
            await until(lambda: not realm.has_pending_async_work)
        assert order == ["direct", "queued", "direct", "queued"]
        other.close()

    assert len(on_a_loop(tmp_path, test)) == 4


def test_an_observer_that_writes_before_a_block(tmp_path: Path) -> None:
    async def test(realm: Realm) -> None:
        def count(dogs: Any, change: CollectionChange) -> None:
            if change.insertions == (0,):
                with realm.write():
                    realm.create(Dog, name="by the observer")

        with realm.objects(Dog).observe(count):
            await asyncio.sleep(0.01)
            with Writer(tmp_path) as writer:
                future = realm.write_soon(maker(realm, "Rex"))
                writer.let_go()
                await future

    assert on_a_loop(tmp_path, test) == ["Rex", "by the observer", "elsewhere"]


def test_what_observers_queue_or_write_waits_for_who_goes_first(tmp_path: Path) -> None:
    """He tells observers before he begins: they may write themselves, or queue, with the lock still free."""

    async def test(realm: Realm) -> None:
        other, order = Realm.open(realm.config), []

        def queued(name: str) -> Callable[[], None]:
            def run() -> None:
                order.append(name)
                realm.create(Dog, name=name)

            return run

        def observe(dogs: Any, change: CollectionChange) -> None:
            if change.insertions == (0,):
                with realm.write():
                    order.append("observer")
                    realm.create(Dog, name="observer")
                realm.write_soon(queued("queued in the observer"))
                time.sleep(0.05)  # whoever asks for the lock now gets it

        with realm.objects(Dog).observe(observe):
            await until(lambda: len(realm._context.observers._tokens) == 1 and not realm.has_pending_async_work)
            await asyncio.sleep(0.01)
            with other.write():
                other.create(Dog, name="elsewhere")
            future = realm.write_soon(queued("queued"))
            with realm.write(timeout=5):
                order.append("first")
                realm.create(Dog, name="first")
            await future
            await until(lambda: not realm.has_pending_async_work)
        assert order == ["observer", "first", "queued", "queued in the observer"]
        other.close()

    assert len(on_a_loop(tmp_path, test)) == 5


def test_completions_do_not_write(tmp_path: Path) -> None:
    async def test(realm: Realm) -> None:
        refused: list[str] = []

        def done(error: Exception | None) -> None:
            for action in (
                realm.begin_write,
                realm.commit_write,
                realm.cancel_write,
                lambda: realm.async_begin(lambda: None),
                lambda: realm.async_cancel(1),
            ):
                with pytest.raises(WrongTransactionStateError, match=r"a completion callback cannot"):
                    action()
            refused.append("all")

        with realm.write():
            realm.create(Dog, name="Rex")
            realm.async_commit(done)
        await until(lambda: refused)
        with realm.write():
            realm.create(Dog, name="Bo")

    assert on_a_loop(tmp_path, test) == ["Bo", "Rex"]


# --- groups -----------------------------------------------------------------------------------------------------------


def test_grouped_commits_share_one_way_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs: list[str] = []
    monkeypatch.setattr("syncline.realm.async_writes.make_durable", syncs.append)

    async def test(realm: Realm) -> None:
        version, elsewhere = realm.version, Realm.open(realm.config)
        seen: set[int] = set()

        def make(number: int) -> Callable[[], None]:
            return lambda: make_one(number)

        def make_one(number: int) -> None:
            realm.create(Dog, name=f"{number:02}")
            elsewhere.refresh()
            seen.add(len(elsewhere.objects(Dog)))

        with Writer(tmp_path) as writer:
            futures = [realm.write_soon(make(number), allow_grouping=True) for number in range(45)]
            writer.let_go()
            for future in futures:
                await future
        assert seen == {1, 21, 41}  # 20 at a time
        assert len(syncs) <= 3
        assert realm.version == version + 46  # each is a version of its own
        elsewhere.refresh()
        assert elsewhere.version == realm.version
        elsewhere.close()

    assert len(on_a_loop(tmp_path, test)) == 46


def test_a_block_that_awaits_is_in_no_group(tmp_path: Path) -> None:
    """It ends its transaction later, when those of the group before it have to be stored."""

    async def test(realm: Realm) -> None:
        async def awaits(name: str) -> None:
            async with realm.write_async():
                realm.create(Dog, name=name)
                await asyncio.sleep(0.005)
                realm.create(Dog, name=f"{name} too")

        with Writer(tmp_path) as writer:
            first = realm.write_soon(maker(realm, "a"), allow_grouping=True)
            dropped = realm.write_soon(maker(realm, "nobody"), allow_grouping=True)
            second = asyncio.create_task(awaits("b"))
            await asyncio.sleep(0.005)
            third = realm.write_soon(maker(realm, "c"), allow_grouping=True)
            assert dropped.cancel()
            writer.let_go()
            await asyncio.gather(first, second, third)
        assert not realm.has_pending_async_work

    assert on_a_loop(tmp_path, test) == ["a", "b", "b too", "c", "elsewhere"]


def test_a_block_that_fails_leaves_the_group_before_it(tmp_path: Path) -> None:
    async def test(realm: Realm) -> None:
        def fails() -> None:
            realm.create(Dog, name="nobody")
            raise ZeroDivisionError

        futures = [
            realm.write_soon(function, allow_grouping=True)
            for function in (maker(realm, "a"), maker(realm, "b"), fails, maker(realm, "c"), lambda: None)
        ]
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        assert [type(outcome).__name__ for outcome in outcomes] == [
            "Dog",
            "Dog",
            "ZeroDivisionError",
            "Dog",
            "NoneType",
        ]
        assert [dog.age for dog in realm.objects(Dog)] == [0, 0, 0]

    assert on_a_loop(tmp_path, test) == ["a", "b", "c"]


def test_of_a_group_that_cannot_be_stored_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(realm: Realm) -> None:
        await realm.run_write(maker(realm, "before"))
        realm.on_callback_error = lambda error: None
        writer = realm._context.file.writer

        def fail() -> None:
            raise DiskFullError("no space left")

        with monkeypatch.context() as patch:
            patch.setattr(writer, "finish_group", fail)
            futures = [realm.write_soon(maker(realm, name), allow_grouping=True) for name in ("a", "b")]
            outcomes = await asyncio.gather(*futures, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [DiskFullError, DiskFullError]
        assert len(realm.objects(Dog)) == 1
        await realm.run_write(maker(realm, "after"))

    assert on_a_loop(tmp_path, test) == ["after", "before"]


def test_objects_of_a_group_that_cannot_be_stored_do_not_become_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(realm: Realm) -> None:
        old = await realm.run_write(maker(realm, "old"))
        realm.on_callback_error = lambda error: None
        made: list[Dog] = []

        def replace(name: str) -> None:
            made.append(realm.create(Dog, name=name))
            if old.is_valid:
                realm.delete(old)

        def fail() -> None:
            raise DiskFullError("no space left")

        with monkeypatch.context() as patch:
            patch.setattr(realm._context.file.writer, "finish_group", fail)
            futures = [
                realm.write_soon(lambda name=name: replace(name), allow_grouping=True)  # type: ignore[misc]
                for name in ("a", "b")
            ]
            await asyncio.gather(*futures, return_exceptions=True)
        for name in ("c", "d"):
            await realm.run_write(maker(realm, name))
        assert [dog.is_valid for dog in (old, *made)] == [False] * 3

    assert on_a_loop(tmp_path, test) == ["c", "d", "old"]


def test_a_crash_keeps_nothing_of_a_group_that_has_not_ended(tmp_path: Path) -> None:
    program = f"""
import asyncio, os
from syncline import Field, Model, Realm

class Dog(Model):
    name: str = Field(primary_key=True)
    age: int = 0

async def main():
    realm = Realm.open({str(tmp_path / "test.realm")!r}, schema=[Dog])
    await realm.run_write(lambda: realm.create(Dog, name="before"))
    for name in ("a", "b"):
        realm.write_soon(lambda name=name: realm.create(Dog, name=name), allow_grouping=True)
    realm.write_soon(lambda: os._exit(9), allow_grouping=True)
    await asyncio.sleep(20)

asyncio.run(main())
"""
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 9
    with Realm.open(config(tmp_path)) as realm, realm.write(timeout=5):
        assert [dog.name for dog in realm.objects(Dog)] == ["before"]


def test_inside_a_group_everything_works(tmp_path: Path) -> None:
    """What needs the version itself stores the group first; what is read is what was written."""

    async def test(realm: Realm) -> None:
        found: list[object] = []

        def freezes() -> None:
            realm.create(Dog, name="a")
            realm.async_commit(allow_grouping=True)
            assert not realm.in_write
            assert realm.objects(Dog)[0].name == "a"
            with pytest.raises(WrongTransactionStateError):
                realm.create(Dog, name="nobody")
            found.append(realm.freeze().version == realm.version)

        def writes_again() -> None:
            realm.create(Dog, name="b")
            realm.async_commit(allow_grouping=True)
            with realm.write():
                realm.create(Dog, name="c")

        def refreshes() -> None:
            realm.create(Dog, name="d")
            realm.async_commit(allow_grouping=True)
            found.append(realm.refresh())

        def ends_it() -> None:
            realm.create(Dog, name="e")
            realm.async_commit()

        for block in (freezes, writes_again, refreshes, ends_it):
            realm.async_begin(block)
        await until(lambda: not realm.has_pending_async_work)
        assert found == [True, False]

    assert on_a_loop(tmp_path, test) == ["a", "b", "c", "d", "e"]


def test_what_a_server_may_know_of_waits_for_the_disk(tmp_path: Path) -> None:
    for history in (False, True):
        file = RealmFile.open(tmp_path / f"{history}.realm", history=history)
        with file.write() as tx:
            assert tx.version
        tx = file.begin(relaxed=True)
        synchronous = file.writer.connection.pragma("synchronous")
        file.rollback(tx)
        assert synchronous == (2 if history else 1)
        with file.write():
            assert file.writer.connection.pragma("synchronous") == 2
        file.close()


def test_a_version_that_does_not_fit_fails_what_waits(tmp_path: Path) -> None:
    def drop() -> None:
        with Realm.open(tmp_path / "test.realm") as other, other.write():
            other.delete_model("Dog")

    async def test(realm: Realm) -> None:
        assert len(realm.objects(Dog)) == 0
        await asyncio.to_thread(drop)
        for _ in range(2):
            with pytest.raises(InvalidExternalSchemaChangeError):
                await asyncio.wait_for(realm.run_write(lambda: None), 10)
        with pytest.raises(InvalidExternalSchemaChangeError):
            async with realm.write_async(timeout=10):
                raise AssertionError("it must not begin")

    with pytest.raises(InvalidSchemaVersionError):
        on_a_loop(tmp_path, test)


def test_what_cannot_begin_fails_what_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(file: RealmFile, timeout: float | None = None, *, relaxed: bool = False) -> None:
        raise RuntimeError("a defect")

    async def test(realm: Realm) -> None:
        monkeypatch.setattr(RealmFile, "begin", fail)
        with pytest.raises(RealmError, match=r"no write transaction .* can begin: .*a defect"):
            await asyncio.wait_for(realm.run_write(lambda: None), 10)
        monkeypatch.undo()
        await realm.run_write(maker(realm, "Rex"))

    assert on_a_loop(tmp_path, test) == ["Rex"]


def test_too_many_versions_fail_what_waits(tmp_path: Path) -> None:
    async def main() -> None:
        with Realm.open(config(tmp_path).replace(max_active_versions=2)) as realm:
            kept = []
            for name in ("a", "b"):
                kept.append(realm.freeze())
                with realm.write():
                    realm.create(Dog, name=name)
            with pytest.raises(LimitExceededError, match=r"max_active_versions"):
                await realm.run_write(maker(realm, "c"))
            assert not realm.has_pending_async_work
            kept.clear()
            gc.collect()
            await realm.run_write(maker(realm, "c"))

    asyncio.run(main())


# --- the end ----------------------------------------------------------------------------------------------------------


def test_closing_ends_what_is_pending(tmp_path: Path) -> None:
    async def main() -> None:
        realm = Realm.open(config(tmp_path))
        done: list[Exception | None] = []
        with realm.write():
            realm.create(Dog, name="Rex")
            realm.async_commit(done.append)
        with Writer(tmp_path):
            future = realm.write_soon(maker(realm, "nobody"))
            realm.close()
        assert done == [None]
        with pytest.raises(ClosedRealmError, match=r"was closed before the block could run"):
            await future

    asyncio.run(main())
    with Realm.open(config(tmp_path)) as realm:
        assert [dog.name for dog in realm.objects(Dog)] == ["Rex", "elsewhere"]


def test_closing_inside_a_block(tmp_path: Path) -> None:
    async def main() -> None:
        realm = Realm.open(config(tmp_path))

        def block() -> None:
            realm.create(Dog, name="nobody")
            realm.close()

        kept = realm.write_soon(maker(realm, "Rex"), allow_grouping=True)
        realm.async_begin(block)
        await kept
        await until(lambda: realm.is_closed)

    asyncio.run(main())
    with Realm.open(config(tmp_path)) as realm, realm.write(timeout=5):
        assert [dog.name for dog in realm.objects(Dog)] == ["Rex"]


def test_where_nothing_can_be_queued(tmp_path: Path) -> None:
    with Realm.open(config(tmp_path)) as realm:
        with pytest.raises(WrongTransactionStateError, match=r"does not belong to an event loop"):
            realm.write_soon(lambda: None)
        with pytest.raises(WrongTransactionStateError):
            realm.async_commit()
        with pytest.raises(WrongTransactionStateError, match=r"frozen"):
            realm.freeze().async_begin(lambda: None)
        assert not realm.has_pending_async_work
        assert not realm.async_cancel(1)

        async def coroutine() -> None:
            """Cannot run in one go."""

        with pytest.raises(TypeError, match=r"a plain function"):
            realm.write_soon(coroutine)
        with pytest.raises(TypeError, match=r"plain functions"):
            realm.transactional(coroutine)
