"""A Realm file in memory whose commits can all be undone: trying a history costs no new file.

While a *trial* runs, every transaction of the file is a savepoint inside one outer transaction; the end of the trial
rolls that back. What is undone this way is exactly what the file's own code wrote, its histories and cursors included.
The views for people with a database tool are left out: nobody looks, and SQLite would read them again in every trial.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import apsw

from syncline.storage import system
from syncline.storage.connection import APPLICATION_ID, FORMAT, configure
from syncline.storage.file import RealmFile
from syncline.storage.locks import LockFile
from syncline.storage.opening import FileSettings, OpenParts

__all__ = ["NestedFile"]

_MEMORY: Final = ":memory:"
#: What the writer of a file says to begin and end a transaction → what that means inside a trial.
_NESTED: Final[dict[str, str]] = {
    "BEGIN IMMEDIATE": "SAVEPOINT trial",
    "COMMIT": "RELEASE trial",
    "ROLLBACK": "ROLLBACK TO trial; RELEASE trial",
}


class NestedFile(RealmFile):
    """A private Realm file in memory, for one thread. It has no snapshots: read in a write transaction.

    ``history``: whether commits are recorded (a client's file); a server's keeps objects of asymmetric classes.
    """

    def __init__(self, *, history: bool) -> None:
        connection = _Connection(_MEMORY, statementcachesize=400)
        configure(connection, None, writable=True, durable=False)
        with connection:
            system.create_tables(connection, {"uuid": "0" * 32, "history": int(history)}, 0)
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", FORMAT)
        settings = FileSettings(_MEMORY, None, False, _no_time, durable=False, keep_asymmetric=not history)
        parts = OpenParts(_NoLock(), writing=connection, looking=connection, reading=connection, keeps_history=history)
        super().__init__((f"nested:{id(connection)}", False), settings, parts)
        self._connection = connection

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Everything that is committed until the end of the block is undone there."""
        self._connection.begin_trial()
        try:
            yield
        finally:
            self._connection.end_trial()
            self.writer.rollback()


class _Connection(apsw.Connection):
    """Inside a trial, transactions are savepoints."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._in_trial = False
        self._depth = 0

    def execute(self, statements: str, *arguments: Any, **options: Any) -> apsw.Cursor:
        """As apsw's, but for the three statements of a transaction, and for views."""
        if statements.startswith("CREATE VIEW"):
            statements = "SELECT 0 WHERE 0"
        elif self._in_trial and statements in _NESTED:
            self._depth += 1 if statements == "BEGIN IMMEDIATE" else -1
            statements = _NESTED[statements]
        return super().execute(statements, *arguments, **options)

    @property
    def in_transaction(self) -> bool:  # type: ignore[override]
        """Whether a transaction, not only a trial, runs."""
        return self._depth > 0 if self._in_trial else super().in_transaction

    def begin_trial(self) -> None:
        """The outer transaction."""
        super().execute("BEGIN")
        self._in_trial, self._depth = True, 0

    def end_trial(self) -> None:
        """Undo everything since."""
        self._in_trial = False
        super().execute("ROLLBACK")


class _NoLock(LockFile):
    """A file in memory has one user."""

    def __init__(self) -> None:
        super().__init__(_MEMORY, -1)

    def acquire_writer(self, timeout: float | None = None) -> bool:
        return True

    def release_writer(self) -> None:
        pass

    def close(self) -> None:
        pass


def _no_time() -> int:
    return 1_500_000_000_000_000_000
