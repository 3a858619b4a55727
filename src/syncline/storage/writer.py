"""Writer: the one writing connection of a file; makes WriteTransactions durable (spec/sdk.md §13.8, §13.12).

One SQLite transaction holds the rows, the change log (``rlm_commit``), the history entry (``rlm_history``) and whatever
else was written on the connection. Callers hold the writer lock.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import apsw

from syncline.changesets.codec import encode_recorded
from syncline.errors import ClosedRealmError, WrongTransactionStateError
from syncline.storage import catalogue, pins, sync_state, views
from syncline.storage.catalogue import Catalogue
from syncline.storage.own_changes import OwnChanges
from syncline.storage.sync_state import SyncState
from syncline.storage.transaction import WriteTransaction

if TYPE_CHECKING:
    from syncline.storage.snapshot import SnapshotPool

__all__ = ["EPOCH_MS", "Clock", "RemoteOrigin", "Writer"]

#: What tells the time: Unix time in nanoseconds, as ``time.time_ns``.
Clock: TypeAlias = Callable[[], int]

#: 2015-01-01T00:00:00Z in Unix milliseconds: origin timestamps count from here (spec/merge.md §2.1).
EPOCH_MS: Final = 1_420_070_400_000

#: ``rlm_commit.origin``.
_LOCAL: Final = 0
_REMOTE: Final = 1

#: Change logs kept beyond those that snapshots need, for processes that do not lag far behind (versions).
_LOGS_KEPT: Final = 256
#: A write-ahead log longer than this is written back to the main file after a commit (pages).
_WAL_PAGES: Final = 1000
#: One that is longer than this starts over as soon as readers allow (pages).
_LONG_WAL_PAGES: Final = 4000

_log: Final = logging.getLogger("syncline.storage")


class RemoteOrigin(NamedTuple):
    """What the history says of a commit that integrated changesets: those of the last one (spec/merge.md §9.1)."""

    remote_version: int
    origin: int
    timestamp: int


class Writer:
    """Begins, commits and rolls back on the writing connection of one file.

    ``connect`` makes the connection, with its first use; ``connection``: it is there already. ``records``: commits make
    history entries. ``keep_asymmetric``: see WriteTransaction. ``oldest_version`` tells the oldest version that a
    reader in this process holds, None without readers.
    """

    def __init__(
        self,
        connect: Callable[[], apsw.Connection],
        connection: apsw.Connection | None,
        *,
        records: bool,
        keep_asymmetric: bool,
        clock: Clock,
        oldest_version: Callable[[], int | None],
    ) -> None:
        self._connect = connect
        self._connection: apsw.Connection | None = None
        self._connecting = threading.Lock()
        self._is_closed = False
        self.records = records
        self._keep_asymmetric = keep_asymmetric
        self._clock = clock
        self._oldest_version = oldest_version
        #: the newest version, as far as known here; 0 = look again
        self.version = 0
        self._catalogue: Catalogue | None = None
        self._state: SyncState | None = None
        self._remote: RemoteOrigin | None = None
        self._rows_before = 0
        self._may_commit = False
        #: whether a transaction may be committed without waiting for the disk
        self.can_relax = False
        self._is_relaxed = False
        self._wal_pages = 0
        self._wal_limit = _WAL_PAGES
        self._long_wal = _LONG_WAL_PAGES
        if connection is not None:
            self._adopt(connection)

    @property
    def connection(self) -> apsw.Connection:
        """The writing connection. Raises ClosedRealmError after :meth:`close`."""
        connection = self._connection
        if connection is not None:
            return connection
        with self._connecting:
            if self._is_closed:
                raise ClosedRealmError("the Realm was closed")
            return self._connection or self._adopt(self._connect())

    def _adopt(self, connection: apsw.Connection) -> apsw.Connection:
        connection.set_commit_hook(self._forbids_commit)
        connection.set_wal_hook(self._note_wal)
        #: the own changes that downloads are merged with; only inside a transaction
        self.own_changes = OwnChanges(connection)
        self._connection = connection
        return connection

    @property
    def opened(self) -> apsw.Connection | None:
        """The writing connection, if it was needed so far."""
        return self._connection

    def close(self) -> None:
        """Close the connection, if there is one."""
        with self._connecting:
            self._is_closed = True
            if self._connection is not None:
                self._connection.close(True)

    def _forbids_commit(self) -> bool:
        """After an error SQLite may have ended the transaction: what comes later must not be stored on its own."""
        return not self._may_commit

    def _note_wal(self, connection: apsw.Connection, name: str, pages: int) -> int:
        self._wal_pages = pages
        if pages < _LONG_WAL_PAGES:
            self._long_wal = _LONG_WAL_PAGES
        return apsw.SQLITE_OK

    @property
    def state(self) -> SyncState:
        """Where the file stands with its server; only inside a transaction."""
        if self._state is None:
            self._state = SyncState.load(self.connection)
        return self._state

    def begin(self, relaxed: bool = False) -> WriteTransaction:
        """Start at the newest version; in a group of commits (``storage.groups``) after the one before.

        ``relaxed``: where that is possible, the commit does not wait for the disk (``groups.make_durable`` does).
        """
        connection = self.connection
        if connection.in_transaction:
            connection.execute("SAVEPOINT rlm_group")
        else:
            self._relax(relaxed and self.can_relax)
            connection.execute("BEGIN IMMEDIATE")
        version: int = connection.execute("SELECT max(version) FROM rlm_commit").get
        if version != self.version:
            self._catalogue = catalogue.load(connection, self._catalogue)
            self._state = None
            self.own_changes.clear()
            self.version = version
        assert self._catalogue is not None
        self._remote = None
        self._rows_before = connection.total_changes()
        return WriteTransaction(
            connection,
            self._catalogue,
            version,
            file_ident=self.state[sync_state.FILE_IDENT],
            keep_asymmetric=self._keep_asymmetric,
        )

    def _relax(self, relaxed: bool) -> None:
        if relaxed != self._is_relaxed:
            self.connection.execute(f"PRAGMA synchronous={'NORMAL' if relaxed else 'FULL'}")
            self._is_relaxed = relaxed

    def integrated(self, origin: RemoteOrigin) -> None:
        """The running transaction carries out changesets of others: its history entry is of remote origin."""
        self._remote = origin

    def is_dirty(self, tx: WriteTransaction) -> bool:
        """Whether a commit now would make a version."""
        return tx.is_dirty or self.connection.total_changes() != self._rows_before

    def commit(self, tx: WriteTransaction, origin_timestamp: int | None, in_group: bool = False) -> int | None:
        """Make everything durable; the new version, or None when nothing was written. On an error: :meth:`rollback`.

        ``in_group``: stored once :meth:`finish_group` is called.
        """
        connection = self.connection
        if not connection.in_transaction:
            raise WrongTransactionStateError(
                "the database rolled this transaction back after an error; begin a new one"
            )
        if not self.is_dirty(tx):
            if not in_group:
                connection.execute("ROLLBACK")
            return None
        tx.finish()
        version = self.version + 1
        if tx.schema_changed:
            views.refresh(connection, tx.catalogue)
        now = self._clock() // 1_000_000
        origin = _LOCAL if self._remote is None else _REMOTE
        connection.execute("INSERT INTO rlm_commit VALUES(?, ?, ?, ?)", (version, now, origin, tx.changes.encode()))
        if self.records:
            self._add_history(tx, version, now - EPOCH_MS if origin_timestamp is None else origin_timestamp)
        if version % 64 == 0:
            self._trim_logs(version)
        if not in_group:
            self.finish_group()
        self.version = version
        self._catalogue = tx.catalogue
        return version

    def finish_group(self) -> None:
        """Store what was committed in a group."""
        self._may_commit = True
        try:
            self.connection.execute("COMMIT")
        finally:
            self._may_commit = False

    def undo_in_group(self) -> None:
        """Undo the running transaction of a group, and forget what may have been learned from it."""
        self._state = None
        self.own_changes.clear()
        self.connection.execute("ROLLBACK TO rlm_group")

    def _add_history(self, tx: WriteTransaction, version: int, timestamp: int) -> None:
        connection = self.connection
        if self._remote is not None:
            row = (version, 0, *self._remote, b"", None)
        else:
            if timestamp < 0:
                raise WrongTransactionStateError("this computer's clock is before 2015; set it right, then write again")
            changeset = encode_recorded(tx.instructions, tx.embedded_classes) if tx.instructions else b""
            remote_version = self.state[sync_state.DOWNLOAD_SERVER]
            row = (version, len(changeset), remote_version, 0, timestamp, changeset, None)
            if changeset:
                total = self.state[sync_state.UPLOADABLE] + len(changeset)
                self.state.change(connection, {sync_state.UPLOADABLE: total})
        connection.execute("INSERT INTO rlm_history VALUES(?, ?, ?, ?, ?, ?, ?)", row)

    def _trim_logs(self, version: int) -> None:
        """Drop change logs that no reader can ask for, here or where they say so, leaving some for everybody."""
        oldest = [self._oldest_version(), pins.oldest_pinned(self.connection, self._seconds())]
        limit = min([version - _LOGS_KEPT, *(each for each in oldest if each is not None)])
        self.connection.execute("DELETE FROM rlm_commit WHERE version <= ?", (limit,))

    def store_pin(self, key: str, version: int | None) -> None:
        """Store what this process tells others (:mod:`syncline.storage.pins`); outside of a transaction. No version is
        made.
        """
        connection = self.connection
        self._may_commit = True
        try:
            connection.execute("BEGIN IMMEDIATE")
            pins.store(connection, key, version, self._seconds())
            connection.execute("COMMIT")
        finally:
            self._may_commit = False
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _seconds(self) -> int:
        return self._clock() // 1_000_000_000

    def rollback(self) -> None:
        """Undo everything, and forget what may have been learned from it."""
        self.version = 0
        self._state = None
        connection = self._connection
        if connection is None:
            return
        self.own_changes.clear()
        if connection.in_transaction:
            connection.execute("ROLLBACK")

    def shorten_wal(self) -> None:
        """Write the write-ahead log back when it is long, as far as readers allow; outside of a transaction.

        A failure is not one of the commit before it, which is durable: the next long log is the next attempt.
        """
        if self._wal_pages < self._wal_limit:
            return
        pages, done = self._write_wal_back()
        self._wal_limit = _WAL_PAGES if done >= pages else pages + _WAL_PAGES

    def start_wal_over(self, pool: SnapshotPool) -> None:
        """Before a transaction begins, under the writer lock: if the write-ahead log is long, have it start over.

        Readers that follow every commit would prevent it for ever (:meth:`.SnapshotPool.begin_anew`). Where one is
        late, or of another process, it is tried again a while later.
        """
        if self._wal_pages >= self._long_wal:
            self._long_wal = self._wal_pages + _WAL_PAGES // 4
            pool.begin_anew(self._has_written_wal_back)

    def _has_written_wal_back(self) -> bool:
        pages, done = self._write_wal_back()
        return done >= pages

    def _write_wal_back(self) -> tuple[int, int]:
        """Pages in the write-ahead log, and how many of them are in the file now."""
        try:
            return self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error as error:
            _log.warning("the write-ahead log cannot be written back now: %s", error)
            return self._wal_pages, 0

    def compact(self) -> None:
        """Rewrite the file without free pages and empty the write-ahead log; nobody else may use it meanwhile."""
        self._may_commit = True
        try:
            self.connection.execute("VACUUM")
        finally:
            self._may_commit = False
        self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
