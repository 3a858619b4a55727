"""The directory of Realms: which exist, whose they are, what their files are called (spec/http-api.md §6.4, §10.6)."""

from __future__ import annotations

import secrets
import time
import uuid
from pathlib import Path
from typing import NamedTuple

from syncline.server.database import Database
from syncline.server.realm_keys import storage_id

__all__ = ["RealmDirectory", "RealmRecord"]


class RealmRecord(NamedTuple):
    """One Realm: its app and key, the user who owns it (None: nobody), its files."""

    app_id: str
    key: str
    owner: str | None
    storage_id: str
    path: Path


class RealmDirectory:
    """The rows, and the places of the files. Every method blocks; call it on a worker thread."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder

    def find(self, app_id: str, key: str) -> RealmRecord | None:
        """The Realm, if it exists."""
        row = self._database.row(
            "SELECT owner, storage_id, uuid FROM realm JOIN app ON app.id = realm.app WHERE app = ? AND key = ?",
            (app_id, key),
        )
        return None if row is None else RealmRecord(app_id, key, row[0], row[1], self._path(row[2], row[1]))

    def create(self, app_id: str, key: str, owner: str | None) -> RealmRecord:
        """The Realm, made with this owner if it did not exist."""
        with self._database.transaction():
            app_uuid = self._app_uuid(app_id)
            name = storage_id(app_id, key, secrets.token_hex(16))
            self._database.execute(
                "INSERT OR IGNORE INTO realm (app, key, owner, storage_id, created) VALUES (?, ?, ?, ?, ?)",
                (app_id, key, owner, name, int(time.time())),
            )
            row = self._database.row("SELECT owner, storage_id FROM realm WHERE app = ? AND key = ?", (app_id, key))
            assert row is not None
        return RealmRecord(app_id, key, row[0], row[1], self._path(app_uuid, row[1]))

    def app_uuid(self, app_id: str) -> str:
        """The app's number, made at first use: it names the app's folder and stands as ``domain_id`` in profiles."""
        with self._database.transaction():
            return self._app_uuid(app_id)

    def server_id(self) -> str:
        """A name of this server that outlives its address; made at first use."""
        with self._database.transaction():
            self._database.execute("INSERT OR IGNORE INTO meta (k, v) VALUES ('server_id', ?)", (str(uuid.uuid4()),))
            row = self._database.row("SELECT v FROM meta WHERE k = 'server_id'")
            assert row is not None
            return str(row[0])

    def _app_uuid(self, app_id: str) -> str:
        self._database.execute(
            "INSERT OR IGNORE INTO app (id, uuid, created) VALUES (?, ?, ?)",
            (app_id, uuid.uuid4().hex, int(time.time())),
        )
        row = self._database.row("SELECT uuid FROM app WHERE id = ?", (app_id,))
        assert row is not None
        return str(row[0])

    def _path(self, app_uuid: str, name: str) -> Path:
        return self._folder / app_uuid / name[:2] / f"{name}.realm"
