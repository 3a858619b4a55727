"""Opening without waiting: what does not need sync (spec/sessions.md §16, spec/sdk.md §3.2)."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.loops import in_a_loop

from syncline import (
    FileError,
    MismatchedConfigError,
    Model,
    NotificationToken,
    OperationCancelledError,
    Realm,
    RealmConfiguration,
    RealmError,
    SchemaError,
    WrongThreadError,
)
from syncline.realm import backend as module
from syncline.realm.backend import register_sync_backend
from syncline.storage.file import FileLease, RealmFile


class Dog(Model):
    name: str


class Other(Model):
    class Meta:
        name = "Dog"

    name: int


class Settings:
    """Stands for a SyncConfiguration."""

    def __init__(self, path: Path) -> None:
        self.path = path


class Backend:
    """Gives downloads whose end a test decides."""

    configuration_type = Settings

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.classes: list[str] = []
        self.fail = False
        self.done: Callable[[Exception | None], object] | None = None
        self.waits = threading.Event()
        self.session = self

    def resolve_path(self, sync: Settings, path: str | None) -> str:
        return str(sync.path)

    def download(self, sync: Settings) -> Backend:
        return self

    def check_match(self, present: Settings, wanted: Settings, path: str) -> None:
        if present is not wanted:
            raise MismatchedConfigError("another user")

    def attach(self, sync: Any, lease: Any, realm: Any = None) -> Backend:
        if isinstance(sync, FileLease):  # a download's
            with sync.file.snapshot() as snapshot:
                self.classes = list(snapshot.catalogue.classes)
        if self.fail:
            raise RealmError("no")
        self.calls.append("attach")
        return self

    def start(self, done: Callable[[Exception | None], object]) -> None:
        self.done = done
        self.waits.set()

    def add_progress_notification(self, callback: Any, executor: Any = None, loop: Any = None) -> NotificationToken:
        callback.with_estimate = True
        loop.call_soon_threadsafe(callback, "a report")
        return NotificationToken(lambda: self.calls.append("unwatch"))

    def close(self) -> None:
        self.calls.append("close")

    def cancel(self) -> None:
        self.calls.append("cancel")

    def forget(self) -> None:
        self.calls.append("forget")

    def end(self, error: Exception | None = None) -> None:
        assert self.waits.wait(10)
        assert self.done is not None
        self.done(error)


@pytest.fixture
def backend() -> Iterator[Backend]:
    before = module._backend
    backend = Backend()
    register_sync_backend(backend)  # type: ignore[arg-type]
    yield backend
    module._backend = before


def synced(tmp_path: Path, **options: Any) -> RealmConfiguration:
    return RealmConfiguration(sync=Settings(tmp_path / "synced.realm"), schema=[Dog], **options)


# --- local Realms -----------------------------------------------------------------------------------------------------


@in_a_loop
async def test_a_local_realm_is_opened_in_the_background(tmp_path: Path) -> None:
    config = RealmConfiguration(tmp_path / "a.realm", schema=[Dog])
    task = Realm.open_async(config)
    assert not task.is_done
    realm = await task
    assert task.is_done
    assert await task is realm
    assert repr(task) == f"<AsyncOpenTask of {tmp_path / 'a.realm'}, done>"
    with realm.write():
        realm.create(Dog, name="Rex")
    seen: list[int] = []
    with realm.objects(Dog).observe(lambda dogs, change: seen.append(len(dogs))):
        await asyncio.sleep(0)
        with realm.write():
            realm.create(Dog, name="Ada")
        while seen[-1:] != [2]:
            await asyncio.sleep(0.001)
    realm.close()


@in_a_loop
async def test_the_arguments_of_open_will_do(tmp_path: Path) -> None:
    async with Realm.open_async(tmp_path / "a.realm", schema=[Dog]) as realm:
        assert not realm.is_closed
        assert realm.is_empty
    assert realm.is_closed
    first, second = Realm.open_async(in_memory="together", schema=[Dog]), Realm.open_async(in_memory="together")
    async with first as realm, second as other:
        with realm.write():
            realm.create(Dog, name="Rex")
        other.refresh()
        assert other.objects("Dog")[0].name == "Rex"


@in_a_loop
async def test_a_local_realm_reports_no_progress(tmp_path: Path) -> None:
    task = Realm.open_async(tmp_path / "a.realm", schema=[Dog])
    assert not task.add_progress_notification(lambda *_: None).is_valid
    assert [report async for report in task.progress()] == []
    with task.progress_bar() as bar:
        assert bar is None
        (await task).close()


@pytest.mark.filterwarnings("error")
@in_a_loop
async def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        await Realm.open_async(tmp_path / "nowhere" / "a.realm")
    path = tmp_path / "a.realm"
    (await Realm.open_async(path, schema=[Dog])).close()
    with pytest.raises(SchemaError, match=r"Other.name: the file has it as"):
        await Realm.open_async(path, schema=[Other])
    (await Realm.open_async(path, schema=[Dog])).close()


def test_somebody_must_get_the_realm(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"call open_async in an event loop, or give it on_complete="):
        Realm.open_async(tmp_path / "a.realm")

    async def too_late(realm: Realm | None, error: Exception | None) -> None:
        """Never runs."""

    with pytest.raises(TypeError, match=r"a coroutine function as on_complete needs an event loop"):
        Realm.open_async(tmp_path / "a.realm", on_complete=too_late)
    assert not (tmp_path / "a.realm").exists()


def test_a_forked_child_opens_too(tmp_path: Path) -> None:
    script = f"""
import os, threading
from syncline import Model, Realm

class Dog(Model):
    name: str

def opened(name):
    done = threading.Event()
    def complete(realm, error):
        realm.close()
        done.set()
    Realm.open_async({str(tmp_path)!r} + name, schema=[Dog], on_complete=complete)
    return done.wait(10)

assert opened("/parent.realm")
child = os.fork()
if not child:
    os._exit(0 if opened("/child.realm") and opened("/parent.realm") else 1)
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


# --- callbacks --------------------------------------------------------------------------------------------------------


class Outcome:
    """An on_complete that can be waited for; it closes the Realm."""

    def __init__(self) -> None:
        self.realm: Realm | None = None
        self.error: Exception | None = None
        self.thread = ""
        self.count = 0
        self._told = threading.Event()

    def __call__(self, realm: Realm | None, error: Exception | None) -> None:
        self.realm, self.error, self.thread = realm, error, threading.current_thread().name
        self.count += 1
        if realm is not None:
            realm.objects(Dog)
            realm.close()
        self._told.set()

    def wait(self) -> Outcome:
        assert self._told.wait(10)
        return self


def test_without_a_loop_a_callback_gets_the_realm_on_a_thread_of_its_own(tmp_path: Path) -> None:
    outcome = Outcome()
    task = Realm.open_async(tmp_path / "a.realm", schema=[Dog], on_complete=outcome)
    outcome.wait()
    assert outcome.error is None
    assert outcome.realm is not None
    assert outcome.realm.is_closed
    assert outcome.thread == "syncline-opened"
    with pytest.raises(TypeError, match=r"gives its Realm to on_complete, on another thread"):
        task.__await__().send(None)
    failed = Outcome()
    Realm.open_async(tmp_path / "nowhere" / "a.realm", on_complete=failed)
    assert isinstance(failed.wait().error, FileError)
    assert failed.realm is None


def test_an_executor_gets_the_realm(tmp_path: Path) -> None:
    outcome = Outcome()
    with ThreadPoolExecutor(1, thread_name_prefix="mine") as executor:
        Realm.open_async(tmp_path / "a.realm", schema=[Dog], on_complete=outcome, executor=executor)
        assert outcome.wait().thread.startswith("mine")


@in_a_loop
async def test_on_a_loop_a_callback_runs_there_and_may_be_a_coroutine(tmp_path: Path) -> None:
    outcome = Outcome()
    realm = await Realm.open_async(tmp_path / "a.realm", schema=[Dog], on_complete=outcome)
    assert outcome.thread == threading.current_thread().name
    assert outcome.realm is realm
    told: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    async def complete(realm: Realm | None, error: Exception | None) -> None:
        await asyncio.sleep(0)
        told.set_result(error)

    Realm.open_async(tmp_path / "nowhere" / "a.realm", on_complete=complete)
    assert isinstance(await told, FileError)


def test_a_callback_that_raises_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(realm: Realm | None, error: Exception | None) -> None:
        assert realm is not None
        realm.close()
        raise ValueError("mine")

    hook, threading.excepthook = threading.excepthook, lambda args: told.append(args.exc_value)
    told: list[BaseException | None] = []
    try:
        with caplog.at_level(logging.ERROR):
            Realm.open_async(tmp_path / "a.realm", schema=[Dog], on_complete=fail)
            deadline = time.monotonic() + 10
            while not told:
                assert time.monotonic() < deadline
                time.sleep(0.001)
    finally:
        threading.excepthook = hook
    assert [str(error) for error in told] == ["mine"]
    assert "a callback failed (an async open)" in caplog.text


# --- with sync, as far as realm/ goes ---------------------------------------------------------------------------------


@in_a_loop
async def test_the_schema_is_written_after_the_download(tmp_path: Path, backend: Backend) -> None:
    task = Realm.open_async(synced(tmp_path))
    await asyncio.to_thread(backend.waits.wait, 10)
    assert backend.classes == []
    assert backend.calls == ["attach"]
    backend.end()
    realm = await task
    assert backend.calls == ["attach", "attach", "close"], "the Realm takes part before the open has left"
    assert [schema.name for schema in realm.schema] == ["Dog"]
    assert realm.sync_session is backend
    realm.close()


@in_a_loop
async def test_models_that_are_wrong_are_not_downloaded_for(tmp_path: Path, backend: Backend) -> None:
    class Cat(Model):
        friend: Dog | None

    with pytest.raises(SchemaError, match="Dog"):
        await Realm.open_async(synced(tmp_path).replace(schema=[Cat]))
    assert backend.calls == ["close"]
    assert not (tmp_path / "synced.realm").exists()


@in_a_loop
async def test_an_error_of_the_download_is_that_of_the_open(tmp_path: Path, backend: Backend) -> None:
    task = Realm.open_async(synced(tmp_path))
    error = RealmError("refused")
    await asyncio.to_thread(backend.end, error)
    with pytest.raises(RealmError) as raised:
        await task
    assert raised.value is error
    assert backend.calls == ["attach", "close"]


@in_a_loop
async def test_a_session_that_cannot_be_made(tmp_path: Path, backend: Backend) -> None:
    backend.fail = True
    with pytest.raises(RealmError, match="no"):
        await Realm.open_async(synced(tmp_path))
    assert not RealmFile.open(tmp_path / "synced.realm").close()
    assert backend.calls == ["close"]


@in_a_loop
async def test_cancelling_who_awaits_cancels_the_open(tmp_path: Path, backend: Backend) -> None:
    told: list[Any] = []
    task = Realm.open_async(synced(tmp_path), on_complete=lambda realm, error: told.append((realm, error)))
    await asyncio.to_thread(backend.waits.wait, 10)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await task
    with pytest.raises(asyncio.CancelledError):
        await task
    assert backend.calls[-1] == "cancel"
    while not told:
        await asyncio.sleep(0.001)
    [(realm, error)] = told
    assert realm is None
    assert isinstance(error, OperationCancelledError)
    assert repr(task).endswith(", cancelled>")
    backend.end()
    task.cancel()
    await asyncio.sleep(0.01)
    assert len(told) == 1


def test_cancelling_on_any_thread(tmp_path: Path, backend: Backend) -> None:
    outcome = Outcome()
    task = Realm.open_async(synced(tmp_path), on_complete=outcome)
    assert backend.waits.wait(10)
    task.cancel()
    assert isinstance(outcome.wait().error, OperationCancelledError)
    assert str(tmp_path) in str(outcome.error)
    assert outcome.count == 1
    assert backend.calls == ["attach", "cancel"]
    with Realm.open(tmp_path / "synced.realm") as realm:  # nobody has it any more
        assert realm.is_empty


@in_a_loop
async def test_the_time_runs_out(tmp_path: Path, backend: Backend) -> None:
    config = synced(tmp_path)
    with pytest.raises(TimeoutError, match=r"not downloaded within 0.05 s; what has arrived is kept"):
        await Realm.open_async(config, timeout=0.05)
    assert backend.calls[-1] == "cancel"
    outcome = Outcome()
    with ThreadPoolExecutor(1) as executor:
        Realm.open_async(config, timeout=0.01, on_complete=outcome, executor=executor)
        assert isinstance(outcome.wait().error, TimeoutError)
    (await Realm.open_async(tmp_path / "in-time.realm", timeout=60)).close()


def test_a_loop_that_was_closed_gets_nothing(tmp_path: Path, backend: Backend) -> None:
    async def start() -> Any:
        return Realm.open_async(synced(tmp_path))

    task = asyncio.run(start())
    backend.end()
    deadline = time.monotonic() + 10
    while not task.is_done:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert backend.calls == ["attach", "close"]


def test_a_loop_that_ended_before_the_hand_over(tmp_path: Path, backend: Backend) -> None:
    async def start() -> None:
        Realm.open_async(synced(tmp_path))
        backend.end()
        asyncio.get_running_loop().call_soon_threadsafe = drop  # type: ignore[method-assign]

    def drop(*_: Any, **__: Any) -> Any:
        """As a loop does that is about to end."""
        dropped.set()

    dropped = threading.Event()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(start())
    assert dropped.wait(10)
    backend.done = None
    deadline = time.monotonic() + 10
    while backend.calls[-1] != "forget":
        gc.collect()
        assert time.monotonic() < deadline
    RealmFile.delete(tmp_path / "synced.realm")
    del loop.call_soon_threadsafe
    loop.close()


@in_a_loop
async def test_reports_are_followed_until_the_outcome(tmp_path: Path, backend: Backend) -> None:
    task = Realm.open_async(synced(tmp_path))
    reports = []
    async for report in task.progress():
        reports.append(report)
        backend.end()
    assert reports == ["a report"]
    assert "unwatch" in backend.calls
    (await task).close()


@in_a_loop
async def test_while_it_is_opened_nobody_opens_it_otherwise(tmp_path: Path, backend: Backend) -> None:
    config = synced(tmp_path)
    task = Realm.open_async(config)
    await asyncio.to_thread(backend.waits.wait, 10)
    with pytest.raises(MismatchedConfigError, match=r"open and synced: it cannot be opened without sync"):
        Realm.open(tmp_path / "synced.realm")
    with pytest.raises(MismatchedConfigError, match=r"open for writing: it cannot be opened read-only"):
        await Realm.open_async(config.replace(read_only=True))
    task.cancel()
    Realm.open(config.replace(read_only=True)).close()


@in_a_loop
async def test_the_realm_is_the_loops(tmp_path: Path) -> None:
    realm = await Realm.open_async(tmp_path / "a.realm", schema=[Dog])
    with pytest.raises(WrongThreadError):
        await asyncio.to_thread(lambda: len(realm.objects(Dog)))
    realm.close()
