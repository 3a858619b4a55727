"""Opening with everything the server has (spec/sessions.md §16, §21.8)."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.contract.world import FORBIDDEN, PATIENCE_S, Item, World, eventually, session_of
from tests.loops import in_a_loop

from syncline import (
    AsyncOpenTask,
    ConnectionFailedError,
    Field,
    InvalidSessionError,
    Model,
    OperationAbortedError,
    OperationCancelledError,
    Realm,
    RealmConfiguration,
    SchemaError,
    SyncError,
    SyncProgress,
    SyncSessionState,
    SyncStopPolicy,
    WrongTransactionStateError,
)
from syncline.storage.file import RealmFile
from syncline.sync.states import InternalState


class Changed(Model):
    """An Item whose text is another kind of value."""

    class Meta:
        name = "Item"

    id: int = Field(primary_key=True)
    text: int


def configuration(world: World, device: str = "b", *, read_only: bool = False, **settings: Any) -> RealmConfiguration:
    return RealmConfiguration(schema=[Item], sync=world.configuration(device, **settings), read_only=read_only)


def upload(world: World, *numbers: int, text: str = "text") -> None:
    """Have items on the server."""
    with world.open("writer") as realm:
        world.write(realm, *numbers, text=text)
        session_of(realm).wait_for_upload(PATIENCE_S)


def core_of(world: World, device: str = "b") -> Any:
    """The session of a device's file, from the inside."""
    return world.manager.registry.core_at(str(world.folder / f"{device}.realm"))


def ever_uploadable(world: World, device: str = "b") -> int:
    """Bytes of changes of its own that a device has ever made."""
    return int(core_of(world, device).history.status().counters.uploadable)


async def until(condition: Callable[[], Any], what: str = "it") -> None:
    """:func:`eventually` while the loop goes on."""
    await asyncio.to_thread(eventually, condition, what)


async def waits(world: World, device: str = "b") -> AsyncOpenTask:
    """An open that has come as far as waiting for the server."""
    task = Realm.open_async(configuration(world, device))
    await until(lambda: core_of(world, device) is not None and core_of(world, device)._waits, "a session with a wait")
    return task


async def outcome(task: Awaitable[Realm]) -> BaseException:
    """The error that an open ends with."""
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(BaseException) as raised:  # noqa: PT011 - any
            await task
    return raised.value


# --- what it is for ---------------------------------------------------------------------------------------------------


@in_a_loop
async def test_everything_is_there_when_the_realm_is(world: World) -> None:
    upload(world, *range(1_000))
    async with Realm.open_async(configuration(world)) as realm:
        assert len(realm.objects(Item)) == 1_000
        assert session_of(realm).state is SyncSessionState.ACTIVE
        assert world.manager.all_sessions() == [session_of(realm)]
    assert world.manager.all_sessions() == []


@in_a_loop
async def test_what_the_server_has_of_the_schema_is_not_written_again(world: World) -> None:
    upload(world, 1)
    async with Realm.open_async(configuration(world)) as realm:
        assert ever_uploadable(world) == 0
        assert world.numbers(realm) == [1]
    async with Realm.open_async(configuration(world, "c", url="/~/empty")) as realm:
        await session_of(realm).wait_for_upload_async()
        assert realm.is_empty


@in_a_loop
async def test_an_open_realm_makes_one_round_trip_more(world: World) -> None:
    here, there = world.open("b"), world.open("a")
    world.settle(here, there)
    with world.silence():
        task = Realm.open_async(configuration(world))
        await asyncio.sleep(0.1)
        assert not task.is_done
    world.write(there, 7)
    await session_of(there).wait_for_upload_async()
    (await task).close()
    async with Realm.open_async(configuration(world)) as realm:
        assert world.numbers(realm) == [7]
        assert session_of(realm) == session_of(here)


@in_a_loop
async def test_several_opens_of_one_realm_at_once(world: World) -> None:
    upload(world, 1, 2, 3)
    async with asyncio.TaskGroup() as group:
        opens = [group.create_task(numbers_of(Realm.open_async(configuration(world)))) for _ in range(10)]
    assert [task.result() for task in opens] == [[1, 2, 3]] * 10
    assert world.manager.all_sessions() == []
    assert await asyncio.to_thread(world.manager.wait_for_sessions_to_terminate, PATIENCE_S)


async def numbers_of(task: AsyncOpenTask) -> list[int]:
    async with task as realm:
        return sorted(item.id for item in realm.objects(Item))


def test_the_callback_form(world: World) -> None:
    upload(world, 1)
    told: list[Any] = []

    def complete(realm: Realm | None, error: Exception | None) -> None:
        assert realm is not None
        with realm:
            told.append((world.numbers(realm), error, threading.current_thread().name))

    with ThreadPoolExecutor(1, thread_name_prefix="mine") as executor:
        Realm.open_async(configuration(world), on_complete=complete, executor=executor)
        eventually(lambda: told)
        Realm.open_async(configuration(world), on_complete=complete)
        eventually(lambda: len(told) == 2)
    assert told == [([1], None, "mine_0"), ([1], None, "syncline-opened")]


@in_a_loop
async def test_a_session_outlives_its_realm_while_an_open_runs(world: World) -> None:
    realm = world.open("b")
    world.settle(realm)
    session = session_of(realm)
    with world.silence():
        task = Realm.open_async(configuration(world))
        await until(lambda: core_of(world)._waits)
        realm.close()
        assert session.state is SyncSessionState.ACTIVE
        assert world.internal_state("b") is InternalState.ACTIVE
        assert world.manager.all_sessions() == [session]
    async with task as again:
        assert session_of(again) == session


# --- progress ---------------------------------------------------------------------------------------------------------


@in_a_loop
async def test_progress_from_before_there_is_a_session_to_the_end(world: World) -> None:
    upload(world, *range(200), text="x" * 20_000)
    task = Realm.open_async(configuration(world))
    seen: list[tuple[int, int]] = []
    token = task.add_progress_notification(lambda *report: seen.append(report))
    estimates: list[SyncProgress] = []
    async for report in task.progress():
        estimates.append(report)
    realm = await task
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] > 200 * 20_000
    assert all(done <= total for done, total in seen)
    assert estimates[-1] == SyncProgress(*seen[-1], 1.0)
    assert not token.is_valid
    count = len(seen)
    world.write(realm, 1_000)
    await session_of(realm).wait_for_upload_async()
    await asyncio.sleep(0.02)
    assert len(seen) == count, "nothing is reported once the Realm is there"
    realm.close()


@in_a_loop
async def test_an_open_that_downloads_nothing_reports_once_that_all_is_here(world: World) -> None:
    for _ in range(2):
        task = Realm.open_async(configuration(world))
        seen: list[tuple[int, int]] = []
        with task.add_progress_notification(lambda *report: seen.append(report)):  # noqa: B023
            (await task).close()
        assert seen
        assert seen[-1][0] == seen[-1][1]
        assert [report async for report in task.progress()] == []


@in_a_loop
async def test_a_progress_bar(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    upload(world, 1, text="x" * 1_000)
    task = Realm.open_async(configuration(world))
    with task.progress_bar():
        (await task).close()
    assert "download of items: 100 %" in capsys.readouterr().err


# --- waiting ----------------------------------------------------------------------------------------------------------


@in_a_loop
async def test_a_suspended_session_is_waited_for(world: World) -> None:
    upload(world, 1)
    realm = world.open("b")
    session_of(realm).suspend()
    task = Realm.open_async(configuration(world))
    await until(lambda: core_of(world)._waits)
    assert session_of(realm).state is SyncSessionState.INACTIVE
    session_of(realm).resume()
    async with task as again:
        assert world.numbers(again) == [1]


@in_a_loop
async def test_who_is_logged_out_is_waited_for(world: World) -> None:
    user = world.user_named("ann")
    with world.open("writer", user=user) as realm:
        world.write(realm, 1)
        session_of(realm).wait_for_upload(PATIENCE_S)
    config = configuration(world, user=user)
    user.log_out()
    task = Realm.open_async(config)
    await until(lambda: world.internal_state("b") is InternalState.INACTIVE)
    world.log_in("ann")
    assert await numbers_of(task) == [1]


@in_a_loop
async def test_the_server_is_waited_for(world: World) -> None:
    upload(world, 1)
    with world.downtime():
        task = Realm.open_async(configuration(world))
        impatient = Realm.open_async(
            configuration(world, "c", url="/~/others", cancel_async_open_on_non_fatal_errors=True)
        )
        error = await outcome(impatient)
        assert isinstance(error, ConnectionFailedError)
        assert not error.is_fatal
        assert not task.is_done
    world.manager.reconnect()
    assert await numbers_of(task) == [1]


@in_a_loop
async def test_the_time_runs_out(world: World) -> None:
    upload(world, 1)
    with world.silence():
        assert isinstance(await outcome(Realm.open_async(configuration(world), timeout=0.1)), TimeoutError)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(Realm.open_async(configuration(world)), 0.1)
        assert world.manager.all_sessions() == []
    assert await numbers_of(Realm.open_async(configuration(world), timeout=PATIENCE_S)) == [1]


# --- errors -----------------------------------------------------------------------------------------------------------


@in_a_loop
async def test_a_fatal_error_is_that_of_the_open(world: World) -> None:
    error = await outcome(Realm.open_async(configuration(world, url=FORBIDDEN)))
    assert isinstance(error, SyncError)
    assert error.is_fatal
    assert world.internal_state("b") is None, "nothing stays registered"
    assert await asyncio.to_thread(world.manager.wait_for_sessions_to_terminate, PATIENCE_S)
    RealmFile.delete(world.folder / "b.realm")


@in_a_loop
async def test_logging_out_ends_it(world: World) -> None:
    user = world.user
    with world.silence():
        task = await waits(world)
        user.log_out()
        assert isinstance(await outcome(task), OperationAbortedError)
    assert world.internal_state("b") is None


@in_a_loop
async def test_suspending_ends_it(world: World) -> None:
    assert world.user
    with world.silence():
        task = await waits(world)
        [session] = world.manager.all_sessions()
        session.suspend()
        assert isinstance(await outcome(task), OperationAbortedError)


@in_a_loop
async def test_the_managers_shutdown_ends_it(world: World) -> None:
    config = configuration(world, "c")
    with world.silence():
        task = await waits(world)
        await asyncio.to_thread(world.manager.close)
        assert isinstance(await outcome(task), OperationAbortedError)
    assert isinstance(await outcome(Realm.open_async(config)), InvalidSessionError)
    for device in "bc":
        assert world.manager.session_at(str(world.folder / f"{device}.realm")) is None
        RealmFile.delete(world.folder / f"{device}.realm")


@in_a_loop
async def test_models_that_contradict_the_server(world: World) -> None:
    upload(world, 1)
    config = configuration(world).replace(schema=[Changed])
    error = await outcome(Realm.open_async(config))
    assert isinstance(error, SchemaError)
    assert await asyncio.to_thread(world.manager.wait_for_sessions_to_terminate, PATIENCE_S)
    assert world.internal_state("b") is None
    assert await numbers_of(Realm.open_async(configuration(world))) == [1], "what was downloaded is kept"


# --- cancelling -------------------------------------------------------------------------------------------------------


@in_a_loop
async def test_the_last_cancel_stops_the_session(world: World) -> None:
    upload(world, 1)
    with world.silence():
        first, second = await waits(world), Realm.open_async(configuration(world))
        [session] = world.manager.all_sessions()
        await until(lambda: len(core_of(world)._waits) == 2)
        first.cancel()
        assert isinstance(await outcome(first), asyncio.CancelledError)
        assert session.state is SyncSessionState.ACTIVE
        assert not second.is_done
        second.cancel()
        assert isinstance(await outcome(second), asyncio.CancelledError)
        await until(lambda: session.state is SyncSessionState.INVALID)
    assert world.internal_state("b") is None
    RealmFile.delete(world.folder / "b.realm")


@in_a_loop
async def test_cancelling_one_open_leaves_the_others(world: World) -> None:
    upload(world, 1)
    with world.silence():
        first, second = await waits(world), Realm.open_async(configuration(world))
        first.cancel()
        assert isinstance(await outcome(first), asyncio.CancelledError)
    assert await numbers_of(second) == [1]


@in_a_loop
async def test_cancelling_leaves_open_realms(world: World) -> None:
    realm = world.open("b")
    world.settle(realm)
    with world.silence():
        task = Realm.open_async(configuration(world))
        await until(lambda: core_of(world)._waits)
        task.cancel()
        assert isinstance(await outcome(task), asyncio.CancelledError)
    assert session_of(realm).state is SyncSessionState.ACTIVE
    world.write(realm, 1)
    world.settle(realm)


@in_a_loop
async def test_uploads_are_finished_after_the_last_cancel(world: World) -> None:
    realm = world.open("b")
    world.settle(realm)
    with world.silence():
        world.write(realm, 1)
        realm.close()
        assert world.internal_state("b") is InternalState.DYING
        task = Realm.open_async(configuration(world))
        await until(lambda: world.internal_state("b") is InternalState.ACTIVE)
        task.cancel()
        assert isinstance(await outcome(task), asyncio.CancelledError)
        await until(lambda: world.internal_state("b") is InternalState.DYING)
    assert await asyncio.to_thread(world.manager.wait_for_sessions_to_terminate, PATIENCE_S)
    assert await numbers_of(Realm.open_async(configuration(world, "c"))) == [1]


@in_a_loop
async def test_a_session_that_lives_on_is_stopped_by_the_cancel_too(world: World) -> None:
    assert world.user
    with world.silence():
        task = Realm.open_async(configuration(world, stop_policy=SyncStopPolicy.LIVE_INDEFINITELY))
        await until(lambda: world.internal_state("b"))
        task.cancel()
        await until(lambda: world.internal_state("b") is None)
    async with Realm.open_async(configuration(world, stop_policy=SyncStopPolicy.LIVE_INDEFINITELY)) as realm:
        session = session_of(realm)
    assert session.state is SyncSessionState.ACTIVE, "a Realm that was closed is another matter"


@in_a_loop
async def test_cancelling_at_any_moment(world: World) -> None:
    upload(world, *range(100))
    for number in range(40):
        told: list[Any] = []
        task = Realm.open_async(configuration(world), on_complete=lambda *result: told.append(result))  # noqa: B023
        await asyncio.sleep(number / 2_000)
        task.cancel()
        while not told:
            await asyncio.sleep(0.001)
        [(realm, error)] = told
        if realm is None:
            assert isinstance(error, OperationCancelledError)
        else:
            assert len(realm.objects(Item)) == 100
            realm.close()
    assert await asyncio.to_thread(world.manager.wait_for_sessions_to_terminate, PATIENCE_S)
    assert world.internal_state("b") is None
    RealmFile.delete(world.folder / "b.realm")


def test_opens_cancels_closes_and_suspensions_on_many_threads(world: World) -> None:
    upload(world, *range(100))
    configurations = [configuration(world, device) for device in "bcd"]
    ended: list[str] = []

    async def once(chance: random.Random) -> None:
        config, fate = chance.choice(configurations), chance.random()
        if fate < 0.15:
            with Realm.open(config) as realm, session_of(realm).suspended():
                await asyncio.sleep(chance.random() / 100)
            return
        task = Realm.open_async(config, timeout=chance.choice([PATIENCE_S, 0.01]))
        if fate < 0.5:
            asyncio.get_running_loop().call_later(chance.random() / 20, task.cancel)
        try:
            async with asyncio.timeout(PATIENCE_S), task as realm:
                ended.append(f"{len(realm.objects(Item))} items")
        except asyncio.CancelledError:
            ended.append("cancelled")
        except TimeoutError as error:
            ended.append("out of time" if "was not downloaded within 0.01 s" in str(error) else f"stuck: {task}")
        except OperationAbortedError:
            ended.append("suspended meanwhile")

    async def go_on(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(20):
            await asyncio.gather(*(once(chance) for _ in range(chance.randint(1, 4))))

    with ThreadPoolExecutor(4) as executor:
        list(executor.map(lambda seed: asyncio.run(go_on(seed)), range(4)))
    assert set(ended) <= {"100 items", "cancelled", "out of time", "suspended meanwhile"}
    assert "100 items" in ended
    assert world.manager.wait_for_sessions_to_terminate(PATIENCE_S)
    assert world.manager.all_sessions() == []
    for device in "bcd":
        RealmFile.delete(world.folder / f"{device}.realm")


@in_a_loop
async def test_cancelling_afterwards_does_nothing(world: World) -> None:
    task = Realm.open_async(configuration(world))
    realm = await task
    task.cancel()
    await asyncio.sleep(0)
    assert not realm.is_closed
    assert await task is realm
    realm.close()


# --- read-only --------------------------------------------------------------------------------------------------------


@in_a_loop
async def test_a_read_only_realm_receives_and_never_writes(world: World) -> None:
    upload(world, 1)
    async with Realm.open_async(configuration(world, read_only=True)) as realm:
        assert world.numbers(realm) == [1]
        with pytest.raises(WrongTransactionStateError, match="was opened read-only"):
            realm.begin_write()
        upload(world, 2)
        await session_of(realm).wait_for_download_async()
        realm.refresh()
        assert world.numbers(realm) == [1, 2]


def test_a_read_only_realm_waits_for_its_classes(world: World) -> None:
    realm = Realm.open(configuration(world, read_only=True))
    items = realm.objects(Item)
    first = items.where(Item.id > 1).sort("text")
    seen: list[Any] = []
    with items.observe(lambda results, change: seen.append(len(results))):
        assert len(items) == 0
        assert list(first) == []
        assert items.first() is first.last() is realm.get(Item, 1) is None
        realm.pump()
        session_of(realm).wait_for_download(PATIENCE_S)
        upload(world, 1, 2)
        session_of(realm).wait_for_download(PATIENCE_S)
        realm.refresh()
        assert [item.id for item in items] == [1, 2]
        assert [item.id for item in first] == [2]
        assert realm.get(Item, 1) == items.first()
        assert seen[0] == 0
        assert seen[-1] == 2
    assert ever_uploadable(world) == 0
    realm.close()
