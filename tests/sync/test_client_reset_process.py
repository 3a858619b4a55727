"""A client reset from the server's error to its end; every answer of the server is scripted (spec/sessions.md §12).

What a real server does when it was restored: test_client_reset.py; interruptions: test_client_reset_crashes.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from syncline import (
    ClientResetMode,
    Field,
    Model,
    Realm,
    RealmConfiguration,
    SyncConfiguration,
    SyncCredentials,
    SyncSession,
    SyncSessionState,
    SyncStopPolicy,
    SyncUserState,
)
from syncline.errors import AutomaticResetError, ClientResetError
from syncline.protocol import messages
from syncline.protocol.backoff import BackoffParameters
from syncline.protocol.errors import ErrorAction
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
from syncline.sync.reset_tracking import Outcome, ResetRecord, has_record, read_record, write_record_in

DISCARD = ClientResetMode.DISCARD_UNSYNCED_CHANGES
RECOVER = ClientResetMode.RECOVER_UNSYNCED_CHANGES
EITHER = ClientResetMode.RECOVER_OR_DISCARD_UNSYNCED_CHANGES

RESET = messages.Error(0, 208, "unknown client file", try_again=False, action=ErrorAction.CLIENT_RESET)
FORBIDDEN = RESET._replace(action=ErrorAction.CLIENT_RESET_NO_RECOVERY)


class Dog(Model):
    id: int = Field(primary_key=True)
    name: str


class Gate:
    """The server does not say that the fresh copy is complete until the gate is opened."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._opened = asyncio.Event()
        self._is_reached = threading.Event()
        scene.fake.before = self._hold

    async def _hold(self, peer: Any, message: Any) -> None:
        if isinstance(message, messages.Mark) and self._scene.core().reset is not None:
            self._is_reached.set()
            await self._opened.wait()

    def wait(self) -> None:
        assert self._is_reached.wait(10), "no fresh copy was asked for"

    def open(self) -> None:
        self._scene.fake.before = None
        self._scene.server.run(self._open())

    async def _open(self) -> None:
        self._opened.set()


class Scene:
    """One device whose Realm the server will refuse, with an item that the server has, and one that it has not."""

    def __init__(self, world: Any, server: Any, app: Any, folder: Path) -> None:
        self.world = world
        self.server = server
        self.app = app
        self.fake = app.realm
        self.folder = folder
        self.user = self.log_in()
        self.realms: list[Realm] = []

    def log_in(self) -> Any:
        return self.world.manager.log_in(SyncCredentials.anonymous(), self.app.url)

    def configuration(self, mode: ClientResetMode = RECOVER, url: str = "/dogs", **settings: Any) -> RealmConfiguration:
        key = settings.pop("encryption_key", None)
        path = str(self.folder / "reset.realm")
        sync = SyncConfiguration(self.user, url, path=path, client_reset_mode=mode, **settings)
        return RealmConfiguration(schema=[Dog], sync=sync, encryption_key=key)

    def open(self, mode: ClientResetMode = RECOVER, **settings: Any) -> Realm:
        realm = Realm.open(self.configuration(mode, **settings))
        self.realms.append(realm)
        return realm

    def ahead(self, mode: ClientResetMode = RECOVER, **settings: Any) -> Realm:
        """Rex is on the server, Luna is not; the session is suspended."""
        realm = self.open(mode, **settings)
        put(realm, 1, "Rex")
        session_of(realm).wait_for_upload(10)
        session_of(realm).suspend()
        put(realm, 2, "Luna")
        return realm

    def refuse(self, realm: Realm, error: messages.Error = RESET, times: int = 1) -> None:
        """The server does not know the file any more; the session goes on and hears of it."""
        for _ in range(times):
            self.fake.fail_once(messages.Ident, error)
        session_of(realm).resume()

    def binds(self) -> int:
        """How many sessions have begun: that of :meth:`ahead`, one that is refused, the fresh copy's, the new one."""
        return sum(1 for _, message in self.fake.log if isinstance(message, messages.Bind))

    def error(self) -> ClientResetError:
        """The one error that was reported."""
        self.world.eventually(lambda: self.world.errors)
        ((error, _),) = self.world.errors
        assert isinstance(error, ClientResetError)
        return error

    def core(self) -> Any:
        return self.user.manager.registry.core_at(str(self.folder / "reset.realm"))

    def close(self) -> None:
        for realm in self.realms:
            realm.close()


@pytest.fixture
def scene(world: Any, server: Any, app: Any, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(world, server, app, tmp_path)
    yield made
    made.close()


def session_of(realm: Realm) -> SyncSession:
    session = SyncSession.for_realm(realm)
    assert session is not None
    return session


def put(realm: Realm, number: int, name: str) -> None:
    with realm.write():
        realm.create(Dog, {"id": number, "name": name})


def names(realm: Realm) -> list[str]:
    realm.refresh()
    return sorted(dog.name for dog in realm.objects(Dog))


def settle(realm: Realm) -> None:
    session_of(realm).wait_for_upload(10)
    session_of(realm).wait_for_download(10)


def fresh_copy_of(realm: Realm) -> Path:
    return Path(f"{realm.path}.fresh")


def record_of(realm: Realm) -> ResetRecord | None:
    with closing(RealmFile.open(realm.path)) as file:
        return read_record(ClientHistory(file))


def is_noted(realm: Realm) -> bool:
    with closing(RealmFile.open(realm.path)) as file:
        return has_record(ClientHistory(file))


# --- the sequence -----------------------------------------------------------------------------------------------------


def test_what_was_recovered_is_uploaded_at_once(scene: Scene) -> None:
    """Not only when everything is downloaded, as after any other first connection: the fresh copy was just that."""
    realm = scene.ahead()
    held = []

    async def hold_marks(peer: Any, message: Any) -> bool:
        if isinstance(message, messages.Mark) and scene.binds() == 4:
            held.append((peer, message))
            return True
        return False

    before = len(scene.fake.uploads())
    scene.fake.before = hold_marks
    scene.refuse(realm)
    scene.world.eventually(lambda: len(scene.fake.uploads()) > before)
    scene.fake.before = None
    for peer, message in held:
        scene.server.run(peer.send(f"mark {message.session} {message.request_ident}\n"))
    settle(realm)
    assert names(realm) == ["Luna", "Rex"]


@pytest.mark.parametrize("mode", [RECOVER, DISCARD])
def test_waits_that_were_registered_before_the_reset_end_well_after_it(scene: Scene, mode: ClientResetMode) -> None:
    realm = scene.ahead(mode)
    ends: list[Any] = []
    session_of(realm).on_upload_complete(lambda error: ends.append(("upload", error)))
    session_of(realm).on_download_complete(lambda error: ends.append(("download", error)))
    scene.refuse(realm)
    scene.world.eventually(lambda: len(ends) == 2)
    assert sorted(ends) == [("download", None), ("upload", None)]
    assert names(realm) == (["Luna", "Rex"] if mode is RECOVER else ["Rex"])
    assert scene.world.errors == []


def test_the_attempt_is_forgotten_once_everything_is_uploaded_and_downloaded(scene: Scene) -> None:
    realm = scene.ahead()
    scene.fake.acknowledge = False
    scene.refuse(realm)
    session_of(realm).wait_for_download(10)
    assert names(realm) == ["Luna", "Rex"]
    record = record_of(realm)
    assert record is not None
    assert (record.mode, record.outcome, record.error_code) == (RECOVER, Outcome.DONE, 208)
    scene.fake.acknowledge = True
    put(realm, 3, "Momo")
    settle(realm)
    scene.world.eventually(lambda: not is_noted(realm))


def test_recovering_twice_in_a_row(scene: Scene) -> None:
    realm = scene.ahead(encryption_key=bytes(range(64)))
    scene.refuse(realm)
    settle(realm)
    scene.world.eventually(lambda: not scene.core().history.value("reset.record"))
    session_of(realm).suspend()
    put(realm, 3, "Momo")
    scene.refuse(realm)
    settle(realm)
    assert names(realm) == ["Luna", "Momo", "Rex"]
    assert scene.world.errors == []
    assert not fresh_copy_of(realm).exists()


def test_callbacks_are_called_when_no_realm_is_open_any_more(scene: Scene) -> None:
    called: list[Any] = []
    realm = scene.open(
        stop_policy=SyncStopPolicy.LIVE_INDEFINITELY,
        before_client_reset=lambda frozen: called.append(names(frozen)),
        after_client_reset=lambda frozen, live, did_recover: called.append((names(frozen), names(live), did_recover)),
    )
    put(realm, 1, "Rex")
    settle(realm)
    session = session_of(realm)
    realm.close()
    assert session.state is SyncSessionState.ACTIVE
    scene.fake.fail_once(messages.Ident, RESET)
    scene.server.run(scene.fake.cut())
    session.reconnect()
    scene.world.eventually(lambda: len(called) == 2)
    assert called == [["Rex"], (["Rex"], ["Rex"], True)]
    session.wait_for_download(10)
    assert scene.world.errors == []


def test_live_objects_and_observers_go_on_and_hear_only_of_what_differs(scene: Scene) -> None:
    versions: list[int] = []

    def after(frozen: Realm, live: Realm, did_recover: bool) -> None:
        versions.extend([frozen.version, live.version])

    realm = scene.open(DISCARD, after_client_reset=after)
    for number in range(1, 6):
        put(realm, number, f"dog {number}")
    session_of(realm).wait_for_upload(10)
    other = scene.world.device(scene.user, "other")
    other.session.wait_for_download(10)
    session_of(realm).suspend()
    with realm.write():
        realm.delete(realm.get(Dog, 1))
        realm.get(Dog, 2).name = "unsynced"
        realm.create(Dog, {"id": 6, "name": "unsynced"})
    heard: list[Any] = []
    token = realm.objects(Dog).sort("id").observe(lambda dogs, change: heard.append(change))
    realm.refresh()
    untouched, changed = realm.get(Dog, 3), realm.get(Dog, 2)
    single: list[Any] = []
    watch = untouched.observe(lambda *change: single.append(change))
    other.write("new", first=7)
    other.session.wait_for_upload(10)
    scene.refuse(realm)
    settle(realm)
    realm.refresh()
    scene.world.eventually(lambda: len(heard) > 1 and realm.refresh() is not None)
    assert [dog.id for dog in realm.objects(Dog).sort("id")] == [1, 2, 3, 4, 5, 7]
    assert changed.name == "dog 2"
    changes = [change for change in heard if change.deletions or change.insertions or change.modifications]
    assert len(changes) == 1
    assert list(changes[0].deletions) == [4]
    assert list(changes[0].insertions) == [0, 5]
    assert list(changes[0].modifications) == [0]
    assert single in ([], single[:1]), "dog 3 was not touched"
    assert versions[0] < versions[1]
    token.invalidate()
    watch.invalidate()


def test_progress_becomes_small(scene: Scene) -> None:
    realm = scene.open()
    for number in range(1, 30):
        put(realm, number, "a dog with quite a long name" * 10)
    session_of(realm).wait_for_upload(10)
    session_of(realm).suspend()
    put(realm, 2000, "Luna")
    before = scene.core().history.status().counters
    scene.refuse(realm)
    settle(realm)
    after = scene.core().history.status().counters
    assert before.uploaded > 5000
    assert after.uploaded == after.uploadable < 1000
    assert after.downloaded <= after.downloadable < 1000
    known = session_of(realm).diagnostics().upload
    assert known is not None
    assert known.is_complete
    assert known.transferrable_bytes < 1000


# --- what the server wants --------------------------------------------------------------------------------------------


def test_the_server_forbids_to_recover_and_nothing_else_is_wanted(scene: Scene) -> None:
    realm = scene.ahead(RECOVER)
    scene.refuse(realm, FORBIDDEN)
    error = scene.error()
    assert isinstance(error.__cause__, AutomaticResetError)
    assert "forbids" in str(error)
    assert error.action_token is not None
    assert session_of(realm).state is SyncSessionState.INVALID
    assert names(realm) == ["Luna", "Rex"]
    assert not fresh_copy_of(realm).exists()


def test_the_server_forbids_to_recover_so_it_is_discarded(scene: Scene) -> None:
    realm = scene.ahead(EITHER)
    scene.refuse(realm, FORBIDDEN)
    settle(realm)
    assert names(realm) == ["Rex"]
    assert scene.world.errors == []


def test_a_record_of_another_library_is_ignored(scene: Scene) -> None:
    realm = scene.ahead()
    with closing(RealmFile.open(realm.path)) as file, file.write() as tx:
        failed = ResetRecord(RECOVER, ErrorAction.CLIENT_RESET, 208, "before", Outcome.FAILED, library="realm-core 14")
        write_record_in(tx, failed)
    scene.refuse(realm)
    settle(realm)
    assert names(realm) == ["Luna", "Rex"]
    scene.world.eventually(lambda: not is_noted(realm))


# --- the server is restored again -------------------------------------------------------------------------------------


def test_restored_again_while_the_fresh_copy_is_downloaded(scene: Scene) -> None:
    """The copy is refused like the file was: it begins again."""
    realm = scene.ahead()
    scene.refuse(realm, times=3)
    settle(realm)
    assert names(realm) == ["Luna", "Rex"]
    assert scene.world.errors == []
    assert not fresh_copy_of(realm).exists()


def test_restored_again_and_again_is_not_tried_for_ever(scene: Scene) -> None:
    realm = scene.ahead()
    scene.refuse(realm, times=5)
    assert "cannot be downloaded" in str(scene.error())
    assert names(realm) == ["Luna", "Rex"]
    assert not fresh_copy_of(realm).exists()


@pytest.mark.parametrize("mode", [RECOVER, EITHER])
def test_restored_again_before_it_has_what_was_recovered(scene: Scene, mode: ClientResetMode) -> None:
    """That counts as a failed attempt: a manual reset, or everything unsynced is discarded."""
    realm = scene.ahead(mode)
    scene.fake.fail_once(messages.Ident, RESET)
    idents = []

    async def refuse_the_third(peer: Any, message: Any) -> None:
        if isinstance(message, messages.Ident):
            idents.append(message)
            if len(idents) == 3:  # the file, the fresh copy, the file with its new identity
                scene.fake.fail_once(messages.Ident, RESET)

    scene.fake.before = refuse_the_third
    session_of(realm).resume()
    if mode is RECOVER:
        assert "did not succeed" in str(scene.error())
        assert names(realm) == ["Luna", "Rex"], "to be backed up"
    else:
        settle(realm)
        assert names(realm) == ["Rex"]
        assert scene.world.errors == []


# --- somebody interferes ----------------------------------------------------------------------------------------------


def leave_and_come_back(scene: Scene, realm: Realm, how: str) -> Callable[[], Realm]:
    """The session stops, whatever it does; what starts it again."""
    session = session_of(realm)
    if how == "suspend":
        session.suspend()
        return lambda: session.resume() or realm
    if how == "log out":
        scene.user.log_out()

        def log_in() -> Realm:
            scene.app._count = int(scene.user.identity, 16) - 1  # the server gives the same identity again
            assert scene.log_in() is scene.user
            return realm

        return log_in
    realm.close()
    return lambda: scene.open()


@pytest.mark.parametrize("how", ["suspend", "log out", "close"])
def test_stopped_while_the_fresh_copy_is_downloaded(scene: Scene, how: str) -> None:
    realm = scene.ahead()
    gate = Gate(scene)
    scene.refuse(realm)
    gate.wait()
    back = leave_and_come_back(scene, realm, how)
    gate.open()
    scene.world.manager.wait_for_sessions_to_terminate(5) if how == "close" else None
    assert fresh_copy_of(realm).exists(), "to go on with"
    scene.fake.fail_once(messages.Ident, RESET)  # the file is still the old one
    again = back()
    settle(again)
    assert names(again) == ["Luna", "Rex"]
    assert scene.world.errors == []
    scene.world.eventually(lambda: not is_noted(again))
    assert not fresh_copy_of(again).exists()


@pytest.mark.parametrize("how", ["suspend", "log out", "close"])
@pytest.mark.parametrize("where", ["before", "after"])
def test_stopped_while_a_callback_runs(scene: Scene, how: str, where: str) -> None:
    """What is being written is written to the end; nothing is sent before."""
    entered, go_on = threading.Event(), threading.Event()

    def hold(*realms: Any) -> None:
        if not entered.is_set():
            entered.set()
            assert go_on.wait(10)

    realm = scene.ahead(**{f"{where}_client_reset": hold})
    scene.refuse(realm)
    assert entered.wait(10)
    count = len(scene.fake.log)
    back = leave_and_come_back(scene, realm, how)
    again = back() if how != "close" else None
    go_on.set()
    again = again or back()
    settle(again)
    assert names(again) == ["Luna", "Rex"]
    assert scene.world.errors == []
    scene.world.eventually(lambda: not is_noted(again))
    assert not fresh_copy_of(again).exists()
    binds = [message for _, message in scene.fake.log[count:] if isinstance(message, messages.Bind)]
    assert len(binds) == 1, "the file was the new one, and refused no more"


def test_other_headers_begin_the_reset_anew(scene: Scene) -> None:
    realm = scene.ahead()
    gate = Gate(scene)
    scene.refuse(realm)
    gate.wait()
    scene.fake.before = None
    scene.fake.fail_once(messages.Ident, RESET)  # the file is still the old one
    scene.world.manager.custom_request_headers = {"X-Route": "other"}
    settle(realm)
    gate.open()
    assert names(realm) == ["Luna", "Rex"]
    assert scene.world.errors == []
    assert scene.server.peers[-1].header("X-Route") == "other"


def test_the_download_follows_the_server_to_another_place(scene: Scene) -> None:
    realm = scene.ahead()
    scene.fake.fail_once(messages.Ident, RESET)
    scene.fake.fail_once(messages.Ident, messages.Error(0, 201, "moved", False, ErrorAction.REFRESH_LOCATION))
    session_of(realm).resume()
    settle(realm)
    assert names(realm) == ["Luna", "Rex"]
    assert scene.world.errors == []


def test_reconnect_skips_the_delay_of_the_download(scene: Scene) -> None:
    realm = scene.ahead()
    scene.fake.fail_once(messages.Ident, RESET)
    hour = BackoffParameters(3_600_000, 3_600_000, 1, 0)
    later = messages.Error(0, 201, "later", True, ErrorAction.TRANSIENT, backoff=hour)
    scene.fake.fail_once(messages.Ident, later)
    session_of(realm).resume()
    scene.world.eventually(lambda: scene.binds() == 3 and scene.core().reset._fresh._protocol.delay() > 60)
    session_of(realm).reconnect()
    settle(realm)
    assert names(realm) == ["Luna", "Rex"]
    assert scene.world.errors == []


def test_a_user_that_is_not_believed_while_the_fresh_copy_is_downloaded_is_not_the_fault_of_the_file(
    scene: Scene,
) -> None:
    realm = scene.ahead()
    scene.fake.fail_once(messages.Ident, RESET)
    scene.fake.fail_once(messages.Ident, messages.Error(0, 203, "bad authentication", False))
    session_of(realm).resume()
    scene.world.eventually(lambda: scene.user.state is SyncUserState.ERROR)
    scene.world.eventually(lambda: scene.world.errors)
    assert not any(isinstance(error, ClientResetError) for error, _ in scene.world.errors)
    assert names(realm) == ["Luna", "Rex"]
    scene.app._count = int(scene.user.identity, 16) - 1
    assert scene.log_in() is scene.user
    settle(realm)
    assert names(realm) == ["Luna", "Rex"]
    scene.world.eventually(lambda: not is_noted(realm))
    assert not fresh_copy_of(realm).exists()


# --- files that are not what they seem --------------------------------------------------------------------------------


def test_a_realm_of_the_application_named_like_the_fresh_copy_is_neither_used_nor_deleted(scene: Scene) -> None:
    realm = scene.ahead()
    with closing(RealmFile.open(fresh_copy_of(realm))) as file, file.write() as tx:
        tx.add_class("Treasure")
    scene.refuse(realm)
    assert "is in the way" in str(scene.error())
    with closing(RealmFile.open(fresh_copy_of(realm))) as file, file.snapshot() as snapshot:
        assert snapshot.catalogue.find("Treasure") is not None


def test_a_file_of_another_realm_is_not_merged_into_this_one(scene: Scene) -> None:
    """The server refuses it like a file whose history it has lost; what is unsynced in it was written for another."""
    realm = scene.ahead()
    realm.close()
    scene.world.manager.wait_for_sessions_to_terminate(5)
    uploads = len(scene.fake.uploads())
    scene.fake.fail_once(messages.Ident, RESET, "/cats")
    realm = scene.open(url="/cats")
    error = scene.error()
    assert isinstance(error.__cause__, AutomaticResetError)
    assert "'/dogs', not with '/cats'" in str(error)
    assert error.action_token is not None
    assert names(realm) == ["Luna", "Rex"]
    assert len(scene.fake.uploads()) == uploads
    assert scene.fake.history.get("/cats", []) == []


def test_what_an_interrupted_reset_has_left_goes_when_the_server_asks_for_none(scene: Scene) -> None:
    """The server was restored, then restored to the newer state: it knows the file after all."""
    realm = scene.ahead()
    with closing(RealmFile.open(realm.path)) as file:
        copy = file.open_beside(str(fresh_copy_of(realm)))
        with copy.write() as tx:
            ClientHistory.set_value_in(tx, "reset.fresh", 1)
            tx.add_class("Dog")
        copy.close()
    session_of(realm).resume()
    settle(realm)
    scene.world.eventually(lambda: not fresh_copy_of(realm).exists())


# --- a look at it -----------------------------------------------------------------------------------------------------


def test_diagnostics_show_a_running_reset(scene: Scene) -> None:
    steps: list[str] = []

    def note(*realms: Any) -> None:
        running = session.diagnostics().client_reset
        assert running is not None
        steps.append(running.step)

    realm = scene.ahead(EITHER, before_client_reset=note, after_client_reset=note)
    session = session_of(realm)
    assert session.diagnostics().client_reset is None
    gate = Gate(scene)
    scene.refuse(realm, RESET._replace(message="unknown, eyJhbGciOi.eyJzdWIi.c2lnbmF0"))
    gate.wait()
    running = session.diagnostics().client_reset
    assert running is not None
    assert (running.step, running.mode) == ("downloading a fresh copy", EITHER)
    assert running.cause == "unknown, [token]"
    told = scene.world.manager.diagnostics().to_dict()["sessions"][0]["client_reset"]
    assert told["mode"] == "recover_or_discard_unsynced_changes"
    assert told["since"].endswith("+00:00")
    gate.open()
    settle(realm)
    assert steps == ["before_client_reset", "after_client_reset"]
    assert session.diagnostics().client_reset is None
