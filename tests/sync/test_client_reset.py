"""The server was restored from an older copy of its data folder (spec/sessions.md §12); a real server process."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from syncline import (
    ConnectionState,
    Field,
    Model,
    Realm,
    RealmConfiguration,
    SyncConfiguration,
    SyncCredentials,
    SyncManager,
    SyncSession,
    SyncSessionState,
)
from syncline.errors import AutomaticResetError, ClientResetError
from syncline.protocol.errors import ErrorAction
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
from syncline.sync import ClientResetMode, client_reset
from syncline.sync.reset_tracking import Outcome, ResetRecord, read_record, write_record_in
from syncline.testing.processes import ServerProcess
from syncline.values.kinds import INT

DISCARD = ClientResetMode.DISCARD_UNSYNCED_CHANGES
KEY = bytes(range(64))


class Item(Model):
    id: int = Field(primary_key=True)
    name: str


class Scene:
    """A server with an old copy of its data folder, and one user, who has a Realm for each test."""

    REALMS = 13

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = ServerProcess(folder / "data")
        self.manager = SyncManager(folder / "sync")
        self.manager.error_handler = self._failed
        self.user = self.manager.log_in(SyncCredentials.anonymous(), self.server.url)
        self.errors: list[Any] = []
        self.number = 0
        self._realms: list[Realm] = []
        self._fill()

    def _failed(self, error: Exception, session: SyncSession | None) -> None:
        if isinstance(error, ClientResetError):  # besides connections that fail while there is no server
            self.errors.append(error)

    def _fill(self) -> None:
        """Each Realm has one object when the copy is made; its file stays for the test."""
        for number in range(1, self.REALMS + 1):
            self.begin(number)
            put(self.open("a", key=KEY if number == 2 else None), 1, "in the copy")
        settle(*self._realms)
        self.end()
        self.server.stop()
        shutil.copytree(self.server.folder, self.folder / "copy")
        self.server.start()

    def begin(self, number: int) -> None:
        """The next Realm."""
        self.number = number
        self.errors = []

    def open(self, name: str, mode: ClientResetMode = DISCARD, key: bytes | None = None, **settings: Any) -> Realm:
        """A device's file of the present Realm."""
        path = str(self.folder / f"{name}{self.number}.realm")
        url = f"/~/items{self.number}"
        sync = SyncConfiguration(self.user, url, path=path, client_reset_mode=mode, **settings)
        realm = Realm.open(RealmConfiguration(schema=[Item], sync=sync, encryption_key=key))
        self._realms.append(realm)
        session_of(realm).reconnect()  # no delays after the server's last restart
        return realm

    def restore(self) -> None:
        """Bring the copy back; clients notice when they connect again."""
        self.server.stop()
        shutil.rmtree(self.server.folder)
        shutil.copytree(self.folder / "copy", self.server.folder)
        self.server.start()
        self.manager.reconnect()

    def end(self) -> None:
        for realm in self._realms:
            realm.close()
        self._realms = []
        self.manager.wait_for_sessions_to_terminate(10)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    scene = Scene(tmp_path_factory.mktemp("reset"))
    yield scene
    scene.manager.close()
    scene.server.stop()


@pytest.fixture
def scene(whole: Scene, request: pytest.FixtureRequest) -> Iterator[Scene]:
    number = getattr(request, "param", None)
    whole.begin(number or next(_numbers))
    yield whole
    whole.end()


#: 1 and 2 are those of the first test, one with and one without a key.
_numbers = iter(range(3, Scene.REALMS + 1))


def session_of(realm: Realm) -> SyncSession:
    session = SyncSession.for_realm(realm)
    assert session is not None
    return session


def put(realm: Realm, number: int, name: str) -> None:
    with realm.write():
        realm.create(Item, {"id": number, "name": name})


def names(realm: Realm) -> dict[int, str]:
    realm.refresh()
    return {item.id: item.name for item in realm.objects(Item)}


def settle(*realms: Realm) -> None:
    for realm in realms:
        session_of(realm).wait_for_upload(30)
    for realm in realms:
        session_of(realm).wait_for_download(30)


def eventually(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)
    return value


def ahead(scene: Scene, **settings: Any) -> Realm:
    """A Realm with 1 in the copy, 2 that the server will lose, and 3 that was never uploaded."""
    realm = scene.open("a", **settings)
    settle(realm)
    put(realm, 2, "after the copy")
    settle(realm)
    session_of(realm).suspend()
    put(realm, 3, "never uploaded")
    return realm


def restore_under(scene: Scene, realm: Realm) -> None:
    scene.restore()
    session_of(realm).resume()
    session_of(realm).reconnect()


@pytest.mark.parametrize(("scene", "key"), [(1, None), (2, KEY)], ids=["plain", "encrypted"], indirect=["scene"])
def test_discard_makes_the_file_equal_to_the_server_in_place(scene: Scene, key: bytes | None) -> None:
    realm = ahead(scene, key=key)
    session = session_of(realm)
    one = realm.get(Item, 1)
    restore_under(scene, realm)
    session.wait_for_download(30)
    assert names(realm) == {1: "in the copy"}
    assert one.name == "in the copy", "the Realm and its objects live on"
    assert session.state is SyncSessionState.ACTIVE
    assert scene.errors == []
    assert not Path(realm.path + ".fresh").exists()
    put(realm, 4, "after the reset")
    settle(realm)
    other = scene.open("b")
    settle(other)
    assert names(other) == names(realm) == {1: "in the copy", 4: "after the reset"}
    with closing(RealmFile.open(realm.path, encryption_key=key)) as file:
        history = ClientHistory(file)
        eventually(lambda: read_record(history) is None)


def test_waits_and_observers_go_on(scene: Scene) -> None:
    realm = ahead(scene)
    session = session_of(realm)
    seen: list[ConnectionState] = []
    token = session.observe_connection_state(lambda old, new: seen.append(new))
    with ThreadPoolExecutor() as pool:
        waits = [pool.submit(session.wait_for_upload, 30), pool.submit(session.wait_for_download, 30)]
        restore_under(scene, realm)
        assert [wait.result() for wait in waits] == [None, None]
    token.invalidate()
    assert names(realm) == {1: "in the copy"}
    assert seen[-1] is ConnectionState.CONNECTED
    assert ConnectionState.DISCONNECTED in seen[:-1]


def test_callbacks_get_the_realm_before_and_after(scene: Scene) -> None:
    seen: list[Any] = []

    def before(frozen: Realm) -> None:
        seen.append(("before", frozen.is_frozen, {item.id for item in frozen.objects(Item)}, frozen.version))

    def after(frozen: Realm, live: Realm, did_recover: bool) -> None:
        seen.append(("after", frozen.is_frozen, {item.id for item in frozen.objects(Item)}, did_recover))
        assert frozen.version < live.version
        with live.write():
            for item in frozen.objects(Item):
                if live.get(Item, item.id) is None:
                    live.create(Item, {"id": item.id, "name": "saved"})

    realm = ahead(scene, before_client_reset=before, after_client_reset=after)
    version = realm.version
    restore_under(scene, realm)
    settle(realm)
    assert seen == [("before", True, {1, 2, 3}, version), ("after", True, {1, 2, 3}, False)]
    other = scene.open("b")
    settle(other)
    assert names(other) == names(realm) == {1: "in the copy", 2: "saved", 3: "saved"}


def test_a_callback_that_raises_makes_it_a_manual_reset(scene: Scene) -> None:
    def before(frozen: Realm) -> None:
        raise ValueError("not now")

    realm = ahead(scene, before_client_reset=before)
    session = session_of(realm)
    restore_under(scene, realm)
    (error,) = eventually(lambda: scene.errors)
    assert isinstance(error, ClientResetError)
    assert (error.status, error.is_fatal) == ("AutoClientResetFailed", True)
    assert "not now" in str(error)
    assert error.action_token is not None
    assert error.backup_path is not None
    assert session.state is SyncSessionState.INVALID
    assert names(realm) == {1: "in the copy", 2: "after the copy", 3: "never uploaded"}, "nothing was changed"


def test_a_reset_that_the_server_never_acknowledged_is_not_tried_again(scene: Scene) -> None:
    """Otherwise a file that the server refuses again and again would be reset for ever."""

    def after(frozen: Realm, live: Realm, did_recover: bool) -> None:
        raise ValueError("after the reset")

    realm = ahead(scene, after_client_reset=after)
    restore_under(scene, realm)
    eventually(lambda: scene.errors)
    assert names(realm) == {1: "in the copy"}, "the reset itself was done"
    with closing(RealmFile.open(realm.path)) as file:  # the server forgets the new identity, too
        ClientHistory(file).set_file_ident(999_999, 1)
    realm.close()
    again = scene.open("a")
    error = eventually(lambda: scene.errors[1:])[0]
    assert isinstance(error, ClientResetError)
    assert isinstance(error.__cause__, AutomaticResetError)
    assert "did not succeed either" in str(error)
    assert names(again) == {1: "in the copy"}


def test_a_class_that_only_this_file_has_cannot_be_discarded(scene: Scene) -> None:
    realm = ahead(scene)
    with closing(RealmFile.open(realm.path)) as file, file.write() as tx:
        tx.add_class("Mine", primary_key="id", key_type=INT)
    restore_under(scene, realm)
    (error,) = eventually(lambda: scene.errors)
    assert "classes have been removed: 'Mine'" in str(error)
    assert names(realm) == {1: "in the copy", 2: "after the copy", 3: "never uploaded"}


def test_recovery_loses_nothing_that_was_not_uploaded(scene: Scene) -> None:
    realm = ahead(scene, mode=ClientResetMode.RECOVER_UNSYNCED_CHANGES)
    with realm.write():
        realm.get(Item, 1).name = "changed offline"
        realm.get(Item, 2).name = "the server has lost it"
    restore_under(scene, realm)
    settle(realm)
    assert names(realm) == {1: "changed offline", 3: "never uploaded"}
    (report,) = scene.manager.layout.backup_path(None).parent.glob("*.json")
    told = json.loads(report.read_text())
    assert told["realm"] == realm.path
    assert told["recovered"]["instructions"] > 0
    assert [lost["reason"] for lost in told["lost"]] == ["the server has deleted the object"]
    assert "the server has lost it" not in report.read_text(), "no values"
    other = scene.open("b")
    settle(other)
    assert names(other) == names(realm)
    assert scene.errors == []


def test_where_recovery_is_impossible_everything_is_discarded_the_second_time(scene: Scene) -> None:
    """Recover-or-discard, after an attempt to recover that did not succeed."""
    realm = ahead(scene, mode=ClientResetMode.RECOVER_OR_DISCARD_UNSYNCED_CHANGES)
    with closing(RealmFile.open(realm.path)) as file, file.write() as tx:
        write_record_in(
            tx,
            ResetRecord(
                ClientResetMode.RECOVER_UNSYNCED_CHANGES, ErrorAction.CLIENT_RESET, 208, "before", Outcome.FAILED
            ),
        )
    restore_under(scene, realm)
    settle(realm)
    assert names(realm) == {1: "in the copy"}
    assert scene.errors == []


def test_garbage_in_the_place_of_the_fresh_copy_is_removed(scene: Scene) -> None:
    realm = ahead(scene)
    Path(realm.path + ".fresh").write_bytes(b"no Realm at all" * 100)
    restore_under(scene, realm)
    settle(realm)
    assert names(realm) == {1: "in the copy"}
    assert not Path(realm.path + ".fresh").exists()


def test_a_directory_in_the_place_of_the_fresh_copy_makes_it_a_manual_reset(scene: Scene) -> None:
    realm = ahead(scene)
    (Path(realm.path + ".fresh") / "full").mkdir(parents=True)
    restore_under(scene, realm)
    (error,) = eventually(lambda: scene.errors)
    assert error.status == "AutoClientResetFailed"
    assert names(realm) == {1: "in the copy", 2: "after the copy", 3: "never uploaded"}


@pytest.mark.parametrize("step", ["transfer", "recover"])
def test_a_step_that_fails_leaves_the_old_state(scene: Scene, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError("power cut")

    realm = ahead(scene, mode=ClientResetMode.RECOVER_UNSYNCED_CHANGES)
    monkeypatch.setattr(client_reset, step, fail)
    restore_under(scene, realm)
    (error,) = eventually(lambda: scene.errors)
    assert "power cut" in str(error)
    assert names(realm) == {1: "in the copy", 2: "after the copy", 3: "never uploaded"}
    put(realm, 4, "still usable")
