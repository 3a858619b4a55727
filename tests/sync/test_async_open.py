"""Async opens as a server sees them, which says what a real one says seldom (spec/sessions.md §16)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import pytest
from tests.loops import in_a_loop

from syncline import (
    ClientResetMode,
    ClientUserError,
    Field,
    Model,
    Realm,
    RealmConfiguration,
    SyncConfiguration,
    SyncCredentials,
    SyncError,
    SyncProgress,
)
from syncline.errors import MultipleSyncAgentsError, PermissionDeniedError
from syncline.protocol import messages
from syncline.protocol.errors import ErrorAction
from syncline.storage.file import FileLease, RealmFile
from syncline.sync.async_open import Download


class Dog(Model):
    id: int = Field(primary_key=True)
    name: str


class Cat(Model):
    id: int = Field(primary_key=True)


def config(world: Any, url: str, name: str = "b", **settings: Any) -> RealmConfiguration:
    read_only = settings.pop("read_only", False)
    schema = settings.pop("schema", [Dog])
    path = str(world.folder / f"{name}.realm")
    sync = SyncConfiguration(world.user(url), "/dogs", path=path, **settings)
    return RealmConfiguration(schema=schema, sync=sync, read_only=read_only)


def fill(world: Any, url: str, *names: str) -> None:
    """Have dogs on the server."""
    with Realm.open(config(world, url, "writer")) as realm:
        with realm.write():
            for number, name in enumerate(names, 1):
                realm.create(Dog, id=number, name=name)
        realm.sync_session.wait_for_upload(5)


class Refusing:
    """A server where the user may only read."""

    def __init__(self, realm: Any) -> None:
        self.count = 0
        self._realm = realm
        realm.before = self._before

    async def _before(self, peer: Any, message: Any) -> bool:
        if not (isinstance(message, messages.Upload) and message.entries):
            return False
        self.count += 1
        error = messages.Error(message.session, 206, "you may only read", False)
        await self._realm.fail(peer, error)
        return True


@in_a_loop
async def test_who_may_only_read_can_open(world: Any, server: Any, realm: Any) -> None:
    fill(world, server.url, "Rex")
    refusing = Refusing(realm)
    async with Realm.open_async(config(world, server.url)) as opened:
        await opened.sync_session.wait_for_upload_async()
        assert opened.objects(Dog)[0].name == "Rex"
        assert refusing.count == 0
        with opened.write():
            opened.objects(Dog)[0].name = "Mine"
        with pytest.raises(PermissionDeniedError):
            await opened.sync_session.wait_for_upload_async()
    assert refusing.count == 1


@in_a_loop
async def test_who_may_only_read_and_has_more_models_opens_read_only(world: Any, server: Any, realm: Any) -> None:
    fill(world, server.url, "Rex")
    refusing = Refusing(realm)
    wanted = config(world, server.url, read_only=True, schema=[Dog, Cat])
    for _ in range(2):
        async with Realm.open_async(wanted) as opened:
            await opened.sync_session.wait_for_upload_async()
            assert len(opened.objects(Dog)) == 1
            assert list(opened.objects(Cat)) == []
            assert opened.get(Cat, 1) is None
    assert refusing.count == 0
    opened = Realm.open(config(world, server.url, schema=[Dog, Cat]))  # writes the schema
    with opened, pytest.raises(PermissionDeniedError):
        await opened.sync_session.wait_for_upload_async()
    assert refusing.count == 1


@in_a_loop
async def test_nothing_is_written_before_all_is_here(world: Any, server: Any, realm: Any) -> None:
    held: list[Any] = []

    async def hold(peer: Any, message: Any) -> bool:
        if isinstance(message, messages.Mark):
            held.append((peer, message))
        return bool(held)

    fill(world, server.url, "Rex")
    realm.before = hold
    task = Realm.open_async(config(world, server.url, schema=[Dog, Cat]))
    await asyncio.to_thread(world.eventually, lambda: held)
    file = RealmFile.open(world.folder / "b.realm")
    await asyncio.to_thread(world.eventually, lambda: "Dog" in classes(file))
    assert "Cat" not in classes(file)
    assert not task.is_done
    realm.before = None
    (peer, mark) = held[0]
    server.run(realm._answer(2, peer, mark))
    async with task:
        assert {"Dog", "Cat"} <= set(classes(file))
    file.close()


def classes(file: RealmFile) -> list[str]:
    with file.snapshot() as snapshot:
        return list(snapshot.catalogue.classes)


@in_a_loop
async def test_the_last_report_says_that_all_is_here_whatever_the_server_announced(
    world: Any, server: Any, realm: Any
) -> None:
    fill(world, server.url, "Rex")
    realm.remaining = 1_000_000
    task = Realm.open_async(config(world, server.url))
    seen: list[SyncProgress] = []

    def note(report: SyncProgress) -> None:
        seen.append(report)

    note.with_estimate = True  # type: ignore[attr-defined]
    with task.add_progress_notification(note):
        (await task).close()
    assert not seen[0].is_complete
    assert seen[-1].is_complete
    assert seen[-1].transferred_bytes == seen[0].transferred_bytes
    assert seen[-1].progress_estimate == 1


@in_a_loop
async def test_a_slow_callback_does_not_keep_the_realm_back(world: Any, server: Any, realm: Any) -> None:
    fill(world, server.url, "Rex")
    realm.remaining = 1_000_000
    task = Realm.open_async(config(world, server.url))
    began = time.monotonic()
    with task.add_progress_notification(lambda *_: time.sleep(4)):
        (await task).close()
    assert time.monotonic() - began < 3.5


@in_a_loop
async def test_progress_where_it_is_wanted(world: Any, server: Any, realm: Any) -> None:
    fill(world, server.url, "Rex")
    task = Realm.open_async(config(world, server.url))
    here: list[Any] = []

    async def note(*report: int) -> None:
        here.append((asyncio.current_task(), report))

    token = task.add_progress_notification(note)
    silent: list[Any] = []
    other = task.add_progress_notification(lambda *report: silent.append(report))
    other.invalidate()
    with pytest.raises(TypeError, match="give an executor or a loop, not both"):
        task.add_progress_notification(note, executor=object(), loop=asyncio.get_running_loop())  # type: ignore[arg-type]
    (await task).close()
    await asyncio.sleep(0.01)
    assert here
    assert not silent
    assert not token.is_valid
    late = task.add_progress_notification(lambda *report: silent.append(report))
    assert not late.is_valid
    assert not silent


# --- client reset -----------------------------------------------------------------------------------------------------

RESET = messages.Error(0, 208, "unknown client file", try_again=False, action=ErrorAction.CLIENT_RESET)


@pytest.mark.parametrize("was_opened", [False, True])
def test_a_client_reset_on_the_way(world: Any, server: Any, realm: Any, was_opened: bool) -> None:
    calls: list[str] = []

    def before(realm: Realm) -> None:
        calls.append(f"before: {[dog.name for dog in realm.objects(Dog)]}")

    def after(was: Realm, realm: Realm, did_recover: bool) -> None:
        calls.append(f"after: {[dog.name for dog in realm.objects(Dog)]}")
        with contextlib.closing(realm.freeze()) as frozen:
            assert frozen.config.read_only

    fill(world, server.url, "Rex")
    modes = {
        "client_reset_mode": ClientResetMode.RECOVER_UNSYNCED_CHANGES,
        "before_client_reset": before,
        "after_client_reset": after,
        "read_only": True,
    }

    async def begin() -> None:
        """A first open, which is given up when a part is here."""
        with contextlib.suppress(TimeoutError):
            await Realm.open_async(config(world, server.url, **modes), timeout=0.2)

    async def open() -> list[str]:
        async with Realm.open_async(config(world, server.url, **modes)) as opened:
            return [dog.name for dog in opened.objects(Dog)]

    if was_opened:
        writable = {**modes, "read_only": False}
        with Realm.open(config(world, server.url, **writable)) as opened:
            opened.sync_session.wait_for_upload(5)
            opened.sync_session.wait_for_download(5)
    else:
        realm.before = swallow_marks
        asyncio.run(begin())
        realm.before = None
    assert world.manager.wait_for_sessions_to_terminate(5)
    realm.fail_once(messages.Ident, RESET)
    assert asyncio.run(open()) == ["Rex"]
    assert calls == (["before: ['Rex']", "after: ['Rex']"] if was_opened else [])
    assert world.errors == []


async def swallow_marks(peer: Any, message: Any) -> bool:
    return isinstance(message, messages.Mark)


@in_a_loop
async def test_a_reset_that_is_the_applications_fails_the_open(world: Any, server: Any, realm: Any) -> None:
    realm.fail_once(messages.Ident, RESET)
    with pytest.raises(SyncError) as raised:
        await Realm.open_async(config(world, server.url, client_reset_mode=ClientResetMode.MANUAL))
    assert raised.value.action_token is not None


# --- errors -----------------------------------------------------------------------------------------------------------


@in_a_loop
async def test_who_is_refused_for_good_does_not_wait(world: Any, app: Any) -> None:
    app.lifetime = -10  # every access token is past its time at once
    user = await world.manager.log_in_async(SyncCredentials.anonymous(), app.url)
    app.refusals["session"] = (401, "InvalidSession")
    with pytest.raises(ClientUserError):
        await Realm.open_async(SyncConfiguration(user, "/~/dogs", path=str(world.folder / "b.realm")), timeout=10)
    assert world.manager.all_sessions() == []


@in_a_loop
async def test_another_process_syncs_the_file(world: Any, server: Any, realm: Any, tmp_path: Any) -> None:
    wanted = config(world, server.url)
    file = RealmFile.open(world.folder / "b.realm")
    file.lock_sync_agent()
    with pytest.raises(MultipleSyncAgentsError):
        await Realm.open_async(wanted)
    assert world.manager.registry.core_at(file.path) is None
    file.unlock_sync_agent()
    file.close()
    (await Realm.open_async(wanted)).close()


def test_a_download_that_was_given_up_before_it_began(world: Any, server: Any, realm: Any) -> None:
    wanted = config(world, server.url)
    download = Download(wanted.sync)
    download.cancel()
    lease = FileLease(RealmFile.open(world.folder / "b.realm"))
    with pytest.raises(Exception, match="the open was given up"):
        download.attach(lease, wanted)
    lease.close()
    world.eventually(lambda: world.manager.registry.core_at(str(world.folder / "b.realm")) is None)
