"""The server was restored from an older copy of its data folder (spec/sessions.md §12); a real server process."""

from __future__ import annotations

import json
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from syncline import (
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
from syncline.errors import ClientResetError
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
from syncline.sync import ClientResetMode
from syncline.sync.reset_tracking import read_record
from syncline.testing.processes import ServerProcess

DISCARD = ClientResetMode.DISCARD_UNSYNCED_CHANGES
KEY = bytes(range(64))


class Item(Model):
    id: int = Field(primary_key=True)
    name: str


class Scene:
    """A server with an old copy of its data folder, and one user, who has a Realm for each test."""

    REALMS = 3

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


def test_recovery_loses_nothing_that_was_not_uploaded(scene: Scene) -> None:
    realm = ahead(scene, mode=ClientResetMode.RECOVER_UNSYNCED_CHANGES)
    with realm.write():
        realm.get(Item, 1).name = "changed offline"
        realm.get(Item, 2).name = "the server has lost it"
    restore_under(scene, realm)
    settle(realm)
    assert names(realm) == {1: "changed offline", 3: "never uploaded"}
    reports = [report.read_text() for report in scene.manager.layout.backup_path(None).parent.glob("*.json")]
    (report,) = [report for report in reports if json.loads(report)["realm"] == realm.path]
    told = json.loads(report)
    assert told["recovered"]["instructions"] > 0
    assert [lost["reason"] for lost in told["lost"]] == ["the server has deleted the object"]
    assert "the server has lost it" not in report, "no values"
    other = scene.open("b")
    settle(other)
    assert names(other) == names(realm)
    assert scene.errors == []


# --- several clients --------------------------------------------------------------------------------------------------


class Writer(threading.Thread):
    """A program that goes on writing, whatever becomes of the server; with a manager, so a connection, of its own."""

    def __init__(self, server: ServerProcess, folder: Path, number: int, **settings: Any) -> None:
        super().__init__(daemon=True)
        self.errors: list[Exception] = []
        self.is_writing = True
        self.written: dict[int, int] = {}
        """Item → the version that it was written in."""
        self.seen: dict[int, str] = {}
        self._number = number
        self._folder = folder / f"client{number}"
        self._url = server.url.replace("http", "ws", 1)
        self._settings = settings
        self._orders: queue.SimpleQueue[threading.Event | None] = queue.SimpleQueue()
        self._ended = threading.Event()

    @property
    def path(self) -> str:
        return str(self._folder / "a.realm")

    def run(self) -> None:
        manager = SyncManager(self._folder / "sync")
        manager.error_handler = self._failed
        user = manager.log_in(SyncCredentials.access_token("t", "dev"), self._url)
        sync = SyncConfiguration(user, "/several", path=self.path, **self._settings)
        with Realm.open(RealmConfiguration(schema=[Item], sync=sync)) as realm:
            while True:
                with suppress(queue.Empty):
                    settled = self._orders.get(timeout=0.02)
                    if settled is None:
                        break
                    session_of(realm).reconnect()
                    settle(realm)
                    self.seen = names(realm)
                    settled.set()
                    continue
                if not self.is_writing:
                    continue
                number = self._number * 100_000 + len(self.written)
                put(realm, number, f"of client {self._number}")
                self.written[number] = realm.version
        manager.close()

    def _failed(self, error: Exception, session: SyncSession | None) -> None:
        if isinstance(error, ClientResetError):
            self.errors.append(error)

    def unsynced(self) -> set[int]:
        """The items that the server has not acknowledged."""
        with closing(RealmFile.open(self.path)) as file:
            acknowledged = ClientHistory(file).status().progress.upload.client_version
        return {item for item, version in list(self.written.items()) if version > acknowledged}

    def settle(self) -> Callable[[], object]:
        """Have everything uploaded and downloaded, between two writes; what waits for that."""
        settled = threading.Event()
        self._orders.put(settled)
        return lambda: settled.wait(60) or pytest.fail(f"client {self._number} did not settle: {self.errors}")

    def end(self) -> None:
        self._orders.put(None)
        self.join(30)


def test_an_older_copy_is_restored_under_clients_that_go_on_writing_and_nothing_unsynced_is_lost(
    tmp_path: Path,
) -> None:
    """Twice; the server is killed as it is, in the middle of their uploads."""
    server = ServerProcess(tmp_path / "server")
    resets: list[int] = []
    writers = [
        Writer(server, tmp_path, number, after_client_reset=lambda *realms, number=number: resets.append(number))
        for number in (1, 2, 3)
    ]
    try:
        for writer in writers:
            writer.start()
        settle_all(writers)
        server.stop()
        shutil.copytree(server.folder, tmp_path / "copy")
        server.start()
        for round in (1, 2):
            settle_all(writers)
            server.kill()
            unsynced = restore_copy(server, tmp_path / "copy", writers)
            settle_all(writers)
            settle_all(writers)
            assert [unsynced - set(writer.seen) for writer in writers] == [set(), set(), set()], "nothing is lost"
            assert sorted(resets) == sorted([1, 2, 3] * round), "each client was reset once"
        for writer in writers:
            writer.is_writing = False
        settle_all(writers)
        settle_all(writers)
        first, *others = [writer.seen for writer in writers]
        assert others == [first, first]
        assert [writer.errors for writer in writers] == [[], [], []]
    finally:
        for writer in writers:
            writer.end()
        server.stop()


def settle_all(writers: list[Writer]) -> None:
    for wait in [writer.settle() for writer in writers]:
        wait()


def restore_copy(server: ServerProcess, copy: Path, writers: list[Writer]) -> set[int]:
    """The items that no server has acknowledged before the older one is there; some are written meanwhile."""
    shutil.rmtree(server.folder)
    shutil.copytree(copy, server.folder)
    eventually(lambda: all(len(writer.unsynced()) > 2 for writer in writers))
    unsynced = {item for writer in writers for item in writer.unsynced()}
    server.start()
    return unsynced
