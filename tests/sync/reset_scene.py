"""A device whose Realm a scripted server refuses, so that it is reset (spec/sessions.md §12)."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

from syncline import (
    ClientResetMode,
    Field,
    Model,
    Realm,
    RealmConfiguration,
    SyncConfiguration,
    SyncCredentials,
    SyncSession,
)
from syncline.errors import ClientResetError
from syncline.protocol import messages
from syncline.protocol.errors import ErrorAction
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
from syncline.sync.reset_tracking import ResetRecord, has_record, read_record

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
        idents = sum(1 for _, sent in self._scene.fake.log if isinstance(sent, messages.Ident))
        is_of_copy = idents >= 3  # after that of the file at first, or of another device, and the one that is refused
        if isinstance(message, messages.Mark) and is_of_copy and self._scene.core().reset is not None:
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
