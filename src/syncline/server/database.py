"""The server's own SQLite file: accounts, login sessions, and the directory of Realms.

One connection behind one lock: what happens here is short, and never on the event loop. No data of a Realm is in it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import apsw

__all__ = ["Database", "Row"]

Row: TypeAlias = "tuple[Any, ...]"

#: Raised when a file of a newer server is opened.
_FORMAT: Final = 1
_APPLICATION_ID: Final = 0x53594E44

_SCHEMA: Final = """
CREATE TABLE app (id TEXT PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, created INTEGER NOT NULL);
CREATE TABLE meta (k TEXT PRIMARY KEY, v TEXT NOT NULL);
CREATE TABLE user (
    id TEXT PRIMARY KEY, app TEXT NOT NULL, type TEXT NOT NULL, state TEXT NOT NULL, is_admin INTEGER NOT NULL,
    custom_data TEXT, created INTEGER NOT NULL, last_login INTEGER
);
CREATE TABLE identity (
    id TEXT PRIMARY KEY, app TEXT NOT NULL, user TEXT, provider TEXT NOT NULL, name TEXT NOT NULL,
    name_key TEXT NOT NULL, secret TEXT, created INTEGER NOT NULL, UNIQUE (app, provider, name_key)
);
CREATE INDEX identity_user ON identity (user);
CREATE TABLE login_session (
    sid TEXT PRIMARY KEY, user TEXT NOT NULL, app TEXT NOT NULL, device TEXT NOT NULL,
    created INTEGER NOT NULL, last_used INTEGER NOT NULL, expires INTEGER NOT NULL, revoked INTEGER, reason TEXT
);
CREATE INDEX login_session_user ON login_session (user);
CREATE TABLE realm (
    app TEXT NOT NULL, key TEXT NOT NULL, owner TEXT, storage_id TEXT NOT NULL UNIQUE, created INTEGER NOT NULL,
    PRIMARY KEY (app, key)
);
"""


class Database:
    """A connection that threads share; every method takes the lock for as long as it runs.

    Raises:
        OSError: the file cannot be opened, or is of a newer format.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        path.touch(mode=0o600)
        path.chmod(0o600)  # before SQLite makes files beside it, which get the same permissions
        try:
            self._connection = apsw.Connection(str(path))
            self._connection.set_busy_timeout(5000)
            self._connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=OFF")
            self._prepare(path)
        except apsw.Error as error:
            raise OSError(f"the server's directory {path} cannot be opened: {error}") from error

    def _prepare(self, path: Path) -> None:
        version = self._connection.pragma("user_version")
        if version == 0:
            with self.transaction():
                self._connection.execute(_SCHEMA)
                self._connection.pragma("application_id", _APPLICATION_ID)
                self._connection.pragma("user_version", _FORMAT)
        elif version > _FORMAT:
            raise OSError(f"{path} was written by a newer Syncline (format {version}, this one knows {_FORMAT})")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, alone."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite may have undone it already
                    self._connection.execute("ROLLBACK")
                raise

    def execute(self, sql: str, parameters: tuple[Any, ...] = ()) -> None:
        """Run one statement."""
        with self._lock:
            self._connection.execute(sql, parameters)

    def row(self, sql: str, parameters: tuple[Any, ...] = ()) -> Row | None:
        """The first row of a query, or None."""
        with self._lock:
            return self._connection.execute(sql, parameters).fetchone()

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[Row]:
        """All rows of a query."""
        with self._lock:
            return self._connection.execute(sql, parameters).fetchall()

    def changes(self) -> int:
        """Rows changed by the last statement."""
        with self._lock:
            return self._connection.changes()

    def close(self) -> None:
        with self._lock:
            self._connection.close()
