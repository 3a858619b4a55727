"""One user's program beside a real server: Realms by name, their sessions, and what a test waits for."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from syncline import (
    Field,
    Model,
    ProgressDirection,
    ProgressMode,
    Realm,
    RealmConfiguration,
    SyncConfiguration,
    SyncCredentials,
    SyncError,
    SyncManager,
    SyncSession,
    SyncUser,
    session_for_realm,
)
from syncline.sync.states import InternalState
from syncline.testing.processes import ServerProcess

__all__ = [
    "DOWNLOAD",
    "FORBIDDEN",
    "FOREVER",
    "OUTSTANDING",
    "PATIENCE_S",
    "UPLOAD",
    "Item",
    "Report",
    "World",
    "eventually",
    "session_of",
]

PATIENCE_S = 30.0

UPLOAD, DOWNLOAD = ProgressDirection.UPLOAD, ProgressDirection.DOWNLOAD
FOREVER, OUTSTANDING = ProgressMode.REPORT_INDEFINITELY, ProgressMode.FOR_CURRENTLY_OUTSTANDING_WORK

Report = tuple[int, int]


FORBIDDEN = "/__of-the-server"
"""Nobody may open a Realm with such a name, not even on a development server: the session ends with a fatal error."""


class Item(Model):
    id: int = Field(primary_key=True)
    text: str


def eventually(condition: Callable[[], Any], what: str = "it") -> None:
    """Wait until ``condition`` holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {PATIENCE_S:g} s"
        time.sleep(0.005)


def session_of(realm: Realm) -> SyncSession:
    """The session of a synced Realm."""
    session = session_for_realm(realm)
    assert session is not None
    return session


class World:
    """A manager with a folder of its own, at a server that other tests use too: each has users of its own."""

    def __init__(self, server: ServerProcess, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self._domain = f"{uuid4().hex}.example"
        self.manager = SyncManager(folder / "sync")
        self._users: dict[str, SyncUser] = {}
        self._opened: list[Realm] = []

    @property
    def user(self) -> SyncUser:
        """The user of most tests, who has no account; logged in when first asked for."""
        if "" not in self._users:
            self._users[""] = self.manager.log_in(SyncCredentials.anonymous(), self.server.url)
        return self._users[""]

    def user_named(self, name: str) -> SyncUser:
        """An account, made and logged in when first asked for."""
        if name not in self._users:
            self._users[name] = self.log_in(name, register=True)
        return self._users[name]

    def log_in(self, name: str, *, register: bool = False) -> SyncUser:
        """Log in with the account of that name."""
        return self.manager.log_in(self.credentials(name, register=register), self.server.url)

    def credentials(self, name: str, *, register: bool = False) -> SyncCredentials:
        """Of the account of that name."""
        return SyncCredentials.username_password(f"{name}@{self._domain}", "secret-1", register=register)

    def configuration(self, device: str = "a", url: str = "/~/items", **settings: Any) -> SyncConfiguration:
        """Of the file of that name. ``settings``: those of SyncConfiguration; ``user`` is the world's by default."""
        user = settings.pop("user", None) or self.user
        return SyncConfiguration(user, url, path=str(self.folder / f"{device}.realm"), **settings)

    def open(self, device: str = "a", url: str = "/~/items", **settings: Any) -> Realm:
        """Open that file; the Realm is closed at the end of the test, unless it was before."""
        return self.open_with(self.configuration(device, url, **settings))

    def open_with(self, sync: SyncConfiguration) -> Realm:
        """Open the Realm of a configuration."""
        realm = Realm.open(RealmConfiguration(schema=[Item], sync=sync))
        self._opened.append(realm)
        return realm

    def write(self, realm: Realm, *numbers: int, text: str = "text") -> None:
        """One transaction with an item for each number."""
        with realm.write():
            for number in numbers:
                realm.create(Item, {"id": number, "text": text})

    def numbers(self, realm: Realm) -> list[int]:
        """The items that are there."""
        realm.refresh()
        return sorted(item.id for item in realm.objects(Item))

    def settle(self, *realms: Realm) -> None:
        """Everything of each Realm is on the server, then on every device."""
        for realm in realms:
            session_of(realm).wait_for_upload(PATIENCE_S)
        for realm in realms:
            session_of(realm).wait_for_download(PATIENCE_S)

    def internal_state(self, device: str = "a") -> InternalState | None:
        """The state behind the public one; None if the file has no session."""
        core = self.manager.registry.core_at(str(self.folder / f"{device}.realm"))
        return None if core is None else core.internal_state

    def bound_realms(self) -> int:
        """How many Realms are bound at the server, as it says itself."""
        return int(httpx.get(f"{self.server.url}/health", timeout=PATIENCE_S).json()["open_realms"])

    def end_fatally(self) -> tuple[Realm, SyncSession, SyncError]:
        """A Realm whose session the server has ended for good, and the error."""
        errors: list[SyncError] = []
        self.manager.error_handler = lambda error, session: errors.append(error)
        realm = self.open("forbidden", FORBIDDEN)
        session = session_of(realm)
        eventually(lambda: errors, "the error")
        return realm, session, errors[0]

    @contextmanager
    def silence(self) -> Iterator[None]:
        """The server neither reads nor answers, without ending a connection."""
        os.kill(self.server.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.server.pid, signal.SIGCONT)

    @contextmanager
    def downtime(self) -> Iterator[None]:
        """The server is stopped as its operator would, and started again."""
        self.server.stop()
        try:
            yield
        finally:
            self.server.start()

    def close(self) -> None:
        for realm in self._opened:
            realm.close()
        self.manager.close()
