"""The log in the same SQLite file as the materialised state: one commit makes both durable."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import apsw

from syncline.changesets.changeset import SaltedVersion, UploadCursor
from syncline.errors import NewerFormatError
from syncline.merge.footprint import Footprint
from syncline.merge.integration import WindowEntry
from syncline.server import originals
from syncline.server.bounded_cache import BoundedCache
from syncline.server.identifiers import new_salt
from syncline.server.log_store import STORAGE_FAILURES, ClientFile, LogEntry, LogStatus
from syncline.server.originals import Original
from syncline.storage.connection import translating
from syncline.storage.dump import content_hash
from syncline.storage.file import RealmFile
from syncline.storage.system import meta_value, set_meta_value
from syncline.storage.transaction import WriteTransaction

__all__ = ["FootprintCache", "SqliteLogStore"]

#: What entries touch, by file and version: an entry that cannot meet an upload is not even decoded (spec/merge.md §11).
FootprintCache: TypeAlias = "BoundedCache[tuple[str, int], Footprint]"

#: Key in ``rlm_meta`` and value that say how the log's tables are laid out.
_FORMAT_KEY: Final = "server_log_format"
_FORMAT: Final = 1

#: Idents 0 (none) and 1 (the server) are never given out (spec/merge.md §10.2).
_FIRST_CLIENT_IDENT: Final = 2

#: What a footprint takes in memory: so much per encoded byte, and besides.
_FOOTPRINT_COST: Final = 4
_FOOTPRINT_OVERHEAD: Final = 500

# The blobs come last, so that looking at the numbers never touches the pages of a blob.
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS rlm_log (
    version INTEGER PRIMARY KEY, salt INTEGER NOT NULL, origin INTEGER NOT NULL, client_version INTEGER NOT NULL,
    timestamp INTEGER NOT NULL, total INTEGER NOT NULL, changeset BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS rlm_client_file (
    ident INTEGER PRIMARY KEY, salt INTEGER NOT NULL, user TEXT NOT NULL, is_subserver INTEGER NOT NULL,
    client_version INTEGER NOT NULL, base_version INTEGER NOT NULL, locked_version INTEGER NOT NULL,
    is_expired INTEGER NOT NULL, login_session TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS rlm_reciprocal (
    ident INTEGER NOT NULL, version INTEGER NOT NULL, changeset BLOB NOT NULL, PRIMARY KEY (ident, version)
) WITHOUT ROWID;
"""
_HEAD: Final = "SELECT version, salt, total FROM rlm_log ORDER BY version DESC LIMIT 1"
_CLIENT_FILE: Final = (
    "SELECT ident, salt, user, is_subserver, client_version, base_version, locked_version, is_expired"
    " FROM rlm_client_file WHERE ident = ?"
)
_ENTRIES: Final = (
    "SELECT version, salt, origin, client_version, timestamp, total, CASE WHEN origin = ? THEN x'' ELSE changeset END"
    " FROM rlm_log WHERE version > ? AND version <= ? ORDER BY version"
)
_SIZES: Final = (
    "SELECT version, length(changeset) FROM rlm_log WHERE version > ? AND version <= ? AND origin = ? ORDER BY version"
)
# An entry takes part by its original (not empty, not the client's own), with the content of its reciprocal.
_WINDOW: Final = (
    "SELECT l.version, l.timestamp, l.origin, ifnull(r.changeset, l.changeset), r.changeset IS NOT NULL"
    " FROM rlm_log l LEFT JOIN rlm_reciprocal r ON r.ident = ?1 AND r.version = l.version"
    " WHERE l.version > ?2 AND l.version <= ?3 AND l.origin <> ?1 AND length(l.changeset) > 0 ORDER BY l.version"
)


class SqliteLogStore:
    """A :class:`~syncline.server.log_store.LogStore` in one Realm file.

    ``footprints`` may be shared with other stores. ``keeps_originals``: uploads that merging changed are kept as they
    were (``server/originals.py``).
    """

    def __init__(self, file: RealmFile, footprints: FootprintCache, keeps_originals: bool = True) -> None:
        self._file = file
        self._footprints = footprints
        self._keeps_originals = keeps_originals
        self._memory = _Memory()

    @classmethod
    def open(cls, path: Path, footprints: FootprintCache | None = None, keeps_originals: bool = True) -> SqliteLogStore:
        """Open the Realm's file, or make it. Recovery after a crash is part of opening.

        Raises:
            FileError: it cannot be opened or made.
        """
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls.over(RealmFile.open(path, history=False, keep_asymmetric=True), footprints, keeps_originals)

    @classmethod
    def over(
        cls, file: RealmFile, footprints: FootprintCache | None = None, keeps_originals: bool = True
    ) -> SqliteLogStore:
        """The store in a file without history, which belongs to it from now on and closes with it.

        Raises:
            FileError: the log's tables cannot be made.
        """
        store = cls(file, BoundedCache(0) if footprints is None else footprints, keeps_originals)
        try:
            store._make_tables()
        except BaseException:
            file.close()
            raise
        return store

    def _make_tables(self) -> None:
        with self._file.looking() as connection:
            version = meta_value(connection, _FORMAT_KEY)
            kept_from = meta_value(connection, originals.KEPT_FROM)
        if version not in (None, _FORMAT):
            raise NewerFormatError(f"{self._file.path} has log format {version!r}, this server knows {_FORMAT}")
        if version is None or (kept_from is not None) != self._keeps_originals:
            with self._file.write() as transaction:
                connection = transaction.connection
                connection.execute(_TABLES)
                set_meta_value(connection, _FORMAT_KEY, _FORMAT)
                if self._keeps_originals:
                    connection.execute(originals.TABLE)
                since = _status(connection).head.version + 1 if self._keeps_originals else None
                set_meta_value(connection, originals.KEPT_FROM, since)

    # --- reading ----------------------------------------------------------------------------------------------------

    def status(self) -> LogStatus:
        with self._file.looking() as connection:
            return _status(connection)

    def client_file(self, ident: int) -> ClientFile | None:
        with self._file.looking() as connection:
            return _client_file(connection, ident)

    def salt_of(self, version: int) -> int | None:
        if version == 0:
            return 0
        rows = self._file.query("SELECT salt FROM rlm_log WHERE version = ?", (version,))
        return int(rows[0][0]) if rows else None

    def entries(self, after: int, up_to: int, skip_origin: int) -> Generator[LogEntry, None, None]:
        with self._file.snapshot() as snapshot, snapshot.lock:
            for row in snapshot.reader.connection.execute(_ENTRIES, (skip_origin, after, up_to)):
                yield LogEntry(*row)

    def sizes_of(self, origin: int, after: int, up_to: int) -> list[tuple[int, int]]:
        return self._file.query(_SIZES, (after, up_to, origin))

    def content_hash(self) -> tuple[int, str]:
        with self._file.reading_alone() as reader:
            return _status(reader.connection).head.version, content_hash(reader)

    def close(self) -> None:
        self._file.close()

    # --- writing ----------------------------------------------------------------------------------------------------

    @contextmanager
    def group(self) -> Iterator[SqliteLogGroup]:
        memory = self._memory
        transaction = self._file.begin()
        try:
            # the first group, or somebody else wrote meanwhile
            if memory.file_version != transaction.version:
                memory.forget()
                memory.status = _status(transaction.connection)
            group = SqliteLogGroup(transaction, memory, self._footprints, self._file.path, self._keeps_originals)
            yield group
        except BaseException as error:
            memory.forget()
            self._file.rollback(transaction)
            _raise_if_storage_failed(error, self._file.path)
            raise
        try:
            version = self._file.commit(transaction)
        except BaseException:
            memory.forget()
            raise
        memory.file_version = version or transaction.version
        memory.status = group.status
        for version, footprint, size in group.footprints:
            self._footprints.put((self._file.path, version), footprint, size * _FOOTPRINT_COST + _FOOTPRINT_OVERHEAD)


class _Memory:
    """What a store knows between two groups: valid as long as nobody else writes the file."""

    def __init__(self) -> None:
        self.file_version = 0
        self.status = LogStatus(SaltedVersion(), 0)
        #: by client file: a range of versions (after, up to) without entries that it would have to be merged with
        self.calm: dict[int, tuple[int, int]] = {}

    def forget(self) -> None:
        self.file_version = 0
        self.calm.clear()


class SqliteLogGroup:
    """A commit group: one SQLite transaction over the log's tables and the state. One salt for all its entries."""

    def __init__(
        self,
        transaction: WriteTransaction,
        memory: _Memory,
        footprints: FootprintCache,
        path: str,
        keeps_originals: bool,
    ) -> None:
        self.state = transaction
        self.status = memory.status
        #: version, footprint and size of entries appended: to be remembered once they are durable
        self.footprints: list[tuple[int, Footprint, int]] = []
        self._connection = transaction.connection
        self._memory = memory
        self._remembered = footprints
        self._path = path
        self._keeps_originals = keeps_originals
        self._salt = new_salt()

    @contextmanager
    def part(self) -> Iterator[None]:
        status, count = self.status, len(self.footprints)
        try:
            with self.state.savepoint():
                yield
        except BaseException as error:
            self.status = status
            del self.footprints[count:]
            self._memory.calm.clear()
            _raise_if_storage_failed(error, self._path)
            raise

    def client_file(self, ident: int) -> ClientFile | None:
        return _client_file(self._connection, ident)

    def new_client_file(self, user_id: str, login_session: str, is_subserver: bool) -> ClientFile:
        row = self._connection.execute("SELECT max(ident) FROM rlm_client_file").fetchone()
        ident = _FIRST_CLIENT_IDENT if row is None or row[0] is None else row[0] + 1
        salt = new_salt()
        self._connection.execute(
            "INSERT INTO rlm_client_file VALUES (?, ?, ?, ?, 0, 0, 0, 0, ?)",
            (ident, salt, user_id, int(is_subserver), login_session),
        )
        return ClientFile(ident, salt, user_id, is_subserver)

    def set_progress(self, file: ClientFile, upload: UploadCursor, locked_version: int) -> ClientFile:
        version, base = file.upload
        if upload.client_version > version:
            version = upload.client_version
            if upload.last_integrated_server_version > base:
                base = upload.last_integrated_server_version
                self._connection.execute(
                    "DELETE FROM rlm_reciprocal WHERE ident = ? AND version <= ?", (file.ident, base)
                )
        locked_version = max(file.locked_version, locked_version)
        self._connection.execute(
            "UPDATE rlm_client_file SET client_version = ?, base_version = ?, locked_version = ? WHERE ident = ?",
            (version, base, locked_version, file.ident),
        )
        return file._replace(upload=UploadCursor(version, base), locked_version=locked_version)

    def append(
        self, origin: int, client_version: int, timestamp: int, changeset: bytes, footprint: Footprint | None
    ) -> LogEntry:
        head, total = self.status
        version, total = head.version + 1, total + len(changeset)
        entry = LogEntry(version, self._salt, origin, client_version, timestamp, total, changeset)
        self._connection.execute("INSERT INTO rlm_log VALUES (?, ?, ?, ?, ?, ?, ?)", entry)
        self.status = LogStatus(SaltedVersion(version, self._salt), total)
        if footprint is not None:
            self.footprints.append((version, footprint, len(changeset)))
        return entry

    def keep_originals(self, uploaded: Sequence[Original]) -> None:
        if self._keeps_originals:
            originals.keep(self._connection, uploaded)

    def history(self, ident: int) -> _ClientView:
        return _ClientView(self._connection, ident, self._memory, self._remembered, self._path)


class _ClientView:
    """The log as seen towards one client file: what its uploads have to be merged with (spec/merge.md §8.2, §10.5)."""

    def __init__(
        self, connection: apsw.Connection, ident: int, memory: _Memory, footprints: FootprintCache, path: str
    ) -> None:
        self._connection = connection
        self._ident = ident
        self._memory = memory
        self._footprints = footprints
        self._path = path

    def window(self, after: int, up_to: int) -> Iterable[WindowEntry]:
        calm_after, calm_until = self._memory.calm.get(self._ident, (0, 0))
        if not calm_after <= after <= calm_until:
            calm_after = calm_until = after
        rows: list[Any] = self._connection.execute(_WINDOW, (self._ident, calm_until, up_to)).fetchall()
        if not rows:
            self._memory.calm[self._ident] = (calm_after, up_to)
        return [
            WindowEntry(
                version,
                timestamp,
                origin,
                changeset,
                bool(was_merged),
                None if was_merged else self._footprints.get((self._path, version)),
            )
            for version, timestamp, origin, changeset, was_merged in rows
        ]

    def set_reciprocals(self, reciprocals: Sequence[tuple[int, bytes]]) -> None:
        self._connection.executemany(
            "INSERT OR REPLACE INTO rlm_reciprocal VALUES (?, ?, ?)",
            [(self._ident, version, changeset) for version, changeset in reciprocals],
        )


def _raise_if_storage_failed(error: BaseException, path: str) -> None:
    """Tell the failures of the disk, which end the whole group, from those that one client's changes caused.

    SQLite may have rolled back everything on the former, so that undoing the part failed too: look at what came first.

    Raises:
        FileError, WriteTimeoutError: it was one of the former.
    """
    if isinstance(error, STORAGE_FAILURES):
        return
    for cause in _chain(error):
        try:
            with translating(path):
                raise cause
        except STORAGE_FAILURES as failure:
            raise failure from error
        except apsw.Error:
            pass


def _chain(error: BaseException) -> list[apsw.Error]:
    """The database errors that led to this one, newest first."""
    found: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in found:
        found.append(cause)
        cause = cause.__cause__ or cause.__context__
    return [cause for cause in found if isinstance(cause, apsw.Error)]


def _status(connection: apsw.Connection) -> LogStatus:
    row = connection.execute(_HEAD).fetchone()
    return LogStatus(SaltedVersion(), 0) if row is None else LogStatus(SaltedVersion(row[0], row[1]), row[2])


def _client_file(connection: apsw.Connection, ident: int) -> ClientFile | None:
    row = connection.execute(_CLIENT_FILE, (ident,)).fetchone()
    if row is None:
        return None
    ident, salt, user_id, is_subserver, client_version, base_version, locked_version, is_expired = row
    return ClientFile(
        ident,
        salt,
        user_id,
        bool(is_subserver),
        UploadCursor(client_version, base_version),
        locked_version,
        bool(is_expired),
    )
