"""RealmFile: one Realm's file, its writer, its versions (spec/sdk.md §5, §13.1, §13.8, §13.12).

::

    file = RealmFile.open("shop.realm")                 one instance per path and process, counted
    with file.write() as tx:                            writer lock, BEGIN IMMEDIATE
        tx.create(...)                                  WriteTransaction: rows + instructions
                                                        exit: COMMIT of rows, change log, history entry; version + 1
    with file.snapshot() as snapshot: ...               the newest version, pinned
    file.close()

Durability: WAL with ``synchronous=FULL``; when ``commit`` returns, the transaction survives a crash of process and
machine. Versions: the empty file is version 1; every commit that writes anything adds one; a commit that writes nothing
makes none. Rests on ``opening``, ``writer`` (transactions), ``snapshot`` (readers), ``watch`` (observers), ``locks``.
"""

from __future__ import annotations

import ctypes
import hmac
import os
import shutil
import tempfile
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

import apsw

from syncline.errors import (
    ClosedRealmError,
    IllegalOperationError,
    MismatchedConfigError,
    MultipleSyncAgentsError,
    WriteTimeoutError,
    WrongTransactionStateError,
)
from syncline.storage import catalogue, copies, watch
from syncline.storage.changes import ChangeLog
from syncline.storage.connection import page_key, translating
from syncline.storage.lease import FileLease
from syncline.storage.locks import delete_files
from syncline.storage.opening import FileSettings, OpenParts, check_history, connect_reader, connect_writer, open_parts
from syncline.storage.pins import VersionPin
from syncline.storage.reader import Reader
from syncline.storage.snapshot import Snapshot, SnapshotPool
from syncline.storage.transaction import WriteTransaction
from syncline.storage.watch import CommitBell
from syncline.storage.writer import Clock, Writer

__all__ = ["Clock", "FileLease", "RealmFile"]

#: How long telling other processes of an old version may wait for a writer (seconds); it is tried again.
_PIN_TIMEOUT: Final = 0.01
#: How long compacting may wait for that, or for a transaction that begins just now (seconds).
_COMPACT_TIMEOUT: Final = 0.1


class RealmFile:
    """An open Realm file. One instance per real path and process: ``open`` of an open path returns it, counted.

    Every method may be called on any thread. After ``fork`` the child can open what the parent had closed before; what
    it inherited raises ClosedRealmError.
    """

    def __init__(self, name: tuple[str, bool], settings: FileSettings, parts: OpenParts) -> None:
        """For :meth:`open` and :meth:`in_memory` only; ``name``: under which it is registered."""
        self._name = name
        self.path = settings.path
        self.read_only = settings.read_only
        #: whether commits make history entries
        self.keeps_history = parts.keeps_history
        self._settings = settings
        self._lock = parts.lock
        self._looking = parts.looking
        self._looking_guard = threading.Lock()
        #: where a transaction begins or is given up on one thread while another may close the file
        self._turning_guard = threading.RLock()
        self._looker = 0  # the thread inside looking()
        self._closes_after_look = False
        self._visitors: dict[int, bool] = {}  # threads inside visiting(), and whether they close it at the end
        self._open = True
        self._forked = False
        self._references = 1
        self._pool = SnapshotPool(lambda: connect_reader(settings, parts.lock), parts.reading)
        self._pin = VersionPin(self._pool.oldest, self._store_pin)
        self._bell = CommitBell(self._look, self._look(), self._attend, self.visiting)
        self._writer: Writer | None = None
        if not settings.read_only:
            self._writer = Writer(
                lambda: connect_writer(settings),
                parts.writing,
                records=parts.keeps_history,
                keep_asymmetric=settings.keep_asymmetric,
                clock=settings.clock,
                oldest_version=self._pool.oldest,
            )
            # with a history, a server may know of a commit as soon as it is made: it must not be lost any more
            self._writer.can_relax = settings.durable and settings.vfs is None and not parts.keeps_history
        self._tx: WriteTransaction | None = None
        self._temporary: weakref.finalize[..., Any] | None = None

    # --- opening and closing ------------------------------------------------------------------------------------------

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        encryption_key: bytes | None = None,
        history: bool | None = None,
        new_history: bool = True,
        read_only: bool = False,
        create: bool = True,
        keep_asymmetric: bool = False,
        may_upgrade: bool = True,
        clock: Clock | None = None,
        vfs: str | None = None,
    ) -> RealmFile:
        """Open the file, or create it.

        ``encryption_key``: 64 bytes (spec/sdk.md §13.9). ``history``: whether commits record what a sync client uploads
        (``rlm_history``); fixed when the file is created, None = as it is (new file: ``new_history``). ``read_only``:
        nothing is ever written, the file must exist. ``keep_asymmetric``: objects of asymmetric classes survive their
        commit (a server's state). ``may_upgrade``: whether a file that an older Syncline has made gets what it lacks;
        otherwise FormatUpgradeRequiredError. ``clock``: used for commit times. ``vfs``: name of a registered SQLite VFS
        (fault injection). Where the file is open already, the first opener's clock, vfs and keep_asymmetric count.

        Raises FileError (no such directory, no permission, missing and ``create`` False), InvalidDatabaseError,
        NewerFormatError, DecryptionFailedError, ConfigurationError (length of the key), MismatchedConfigError (open
        with another key, or ``history`` is not what the file has), IllegalOperationError (open in the process that
        this one was forked from).
        """
        settings = FileSettings(
            os.path.realpath(path),
            None if encryption_key is None else page_key(encryption_key),
            read_only,
            clock or time.time_ns,
            vfs=vfs,
            keep_asymmetric=keep_asymmetric,
            new_history=new_history,
            may_upgrade=may_upgrade,
        )
        name = (settings.path, read_only)
        with _registry_guard:
            file = _registry.get(name)
            if file is not None:
                return file._join(settings.key, history)
            return cls._opened(name, settings, history, create and not read_only)

    @classmethod
    def _opened(cls, name: tuple[str, bool], settings: FileSettings, history: bool | None, create: bool) -> RealmFile:
        """One that is not open yet; the caller holds the guard."""
        if settings.path in _inherited:
            raise IllegalOperationError(
                f"{settings.path} was open when this process was forked, and cannot be opened here: what is written "
                "could be lost. Close it before the fork, or start processes another way: multiprocessing's 'spawn' "
                "or 'forkserver'"
            )
        parts = open_parts(settings, history, create)
        try:
            file = _registry[name] = cls(name, settings, parts)
        except BaseException:
            parts.close()
            raise
        return file

    @classmethod
    def in_memory(cls, identifier: str | None = None, *, history: bool = True, clock: Clock | None = None) -> RealmFile:
        """A Realm in a private temporary directory that goes with its last close (spec/sdk.md §13.1).

        Openers with the same ``identifier`` in this process share it; None is always a new one.
        """
        name = (f"memory:{uuid.uuid4() if identifier is None else identifier}", False)
        with _registry_guard:
            file = _registry.get(name)
            if file is not None:
                return file._join(None, history)
            directory = tempfile.mkdtemp(prefix="syncline-")
            path = os.path.join(os.path.realpath(directory), "memory.realm")
            settings = FileSettings(path, None, False, clock or time.time_ns, durable=False)
            try:
                file = cls._opened(name, settings, history, True)
            except BaseException:
                shutil.rmtree(directory, ignore_errors=True)
                raise
            file.owns(directory)
            return file

    def owns(self, directory: str) -> None:
        """The temporary directory in which the file lies goes with its last close."""
        self._temporary = weakref.finalize(self._looking, shutil.rmtree, directory, True)

    def open_beside(self, path: str) -> RealmFile:
        """Another file, with the encryption key, clock and vfs of this one and with history; made if need be.

        Raises as :meth:`open`.
        """
        settings = self._settings._replace(path=os.path.realpath(path), read_only=False)
        name = (settings.path, False)
        with _registry_guard:
            file = _registry.get(name)
            if file is not None:
                return file._join(settings.key, True)
            return RealmFile._opened(name, settings, True, True)

    def _join(self, key: bytes | None, history: bool | None) -> RealmFile:
        """One more opener in this process."""
        if not hmac.compare_digest(key or b"", self._settings.key or b""):
            raise MismatchedConfigError(
                f"{self.path} is open in this process with another encryption key, or with none"
            )
        check_history(self.path, self.keeps_history, history)
        self._references += 1
        return self

    def share(self) -> RealmFile:
        """The same file with one more reference."""
        with _registry_guard:
            self._check_open()
            self._references += 1
        return self

    def close(self) -> None:
        """Give one reference back; the last one rolls back a running write and closes every connection."""
        with _registry_guard:
            if not self._open:
                return
            self._references -= 1
            if self._references > 0:
                return
            self._open = False
            _registry.pop(self._name, None)
        if threading.get_ident() in self._visitors:  # a finalizer in the middle of what may hold any lock
            self._visitors[threading.get_ident()] = True
        else:
            self._end()

    def _end(self) -> None:
        self._bell.close()
        with self._turning_guard:
            if self._tx is not None and self._writer is not None:
                self._tx = None
                self._writer.rollback()
                self._release_writer()
        self._pool.close()
        if self._looker == threading.get_ident():  # a finalizer in the middle of a look, which closes them at its end
            self._closes_after_look = True
        else:
            with self._looking_guard:
                self._close_connections()

    @contextmanager
    def visiting(self) -> Iterator[None]:
        """For a thread that uses the file and has no reference to give back.

        A finalizer that this thread runs meanwhile may give back the last one: then the file is closed at the end.
        """
        visitor = threading.get_ident()
        self._visitors[visitor] = False
        try:
            yield
        finally:
            if self._visitors.pop(visitor):
                self._end()

    def _close_connections(self) -> None:
        try:
            self._looking.close(True)
            if self._writer is not None:
                self._writer.close()
        finally:
            if self._lock is not None:
                self._lock.close()
            if self._temporary is not None:
                self._temporary()

    @property
    def is_shared(self) -> bool:
        """Whether this process has more than one use for it."""
        return self._references > 1

    @property
    def is_closed(self) -> bool:
        """Whether the last reference was given back, or the process forked."""
        return not self._open

    def _check_open(self) -> None:
        if not self._open:
            if self._forked:
                raise ClosedRealmError(f"{self.path} was opened before this process forked; close it before the fork")
            raise ClosedRealmError(f"{self.path} was closed")

    # --- writing ------------------------------------------------------------------------------------------------------

    @contextmanager
    def write(self, timeout: float | None = None, *, origin_timestamp: int | None = None) -> Iterator[WriteTransaction]:
        """A write transaction: committed at the end of the block, rolled back when it raises.

        Waits ``timeout`` seconds for the writer lock (None: without limit). ``origin_timestamp`` (milliseconds since
        2015-01-01) replaces the clock in the history entry. Committing or rolling back inside the block is allowed; its
        end then does nothing. Raises WriteTimeoutError, DiskFullError and FileError (rolled back; the file stays
        usable).
        """
        with self._ending(self.begin(timeout), origin_timestamp) as tx:
            yield tx

    @contextmanager
    def write_on(self, tx: WriteTransaction) -> Iterator[WriteTransaction]:
        """Commit ``tx``, then a transaction like that of :meth:`write`, without letting another writer in between."""
        with self._ending(self.commit_and_continue(tx), None) as following:
            yield following

    @contextmanager
    def _ending(self, tx: WriteTransaction, origin_timestamp: int | None) -> Iterator[WriteTransaction]:
        try:
            with translating(self.path):
                yield tx
        except BaseException:
            if self._tx is tx:
                self._abandon_write()
            raise
        if self._tx is tx:
            self.commit(tx, origin_timestamp=origin_timestamp)

    def begin(self, timeout: float | None = None, *, relaxed: bool = False) -> WriteTransaction:
        """Take the writer lock (fair: first come, first served) and begin at the newest version.

        Release your own snapshot first: an old one keeps the write-ahead log from being reused. While the lock is held,
        :meth:`snapshot` gives exactly the version the transaction began at. The transaction may end on another thread.
        ``relaxed``: its commit does not wait for the disk; :func:`~syncline.storage.groups.make_durable` does.
        Raises WriteTimeoutError, WrongTransactionStateError for a read-only file, FileError.
        """
        self._check_open()
        if self._lock is None or self._writer is None:
            raise WrongTransactionStateError(f"{self.path} was opened read-only")
        if not self._lock.acquire_writer(timeout):
            self._check_open()
            raise WriteTimeoutError(f"another write transaction on {self.path} did not end within {timeout} s")
        with self._turning_guard:
            try:
                self._check_open()
                with translating(self.path):
                    self._writer.start_wal_over(self._pool)
                    self._tx = self._writer.begin(relaxed)
            except BaseException:
                self._abandon_write()
                raise
            return self._tx

    def commit(self, tx: WriteTransaction, *, origin_timestamp: int | None = None) -> int | None:
        """Make it durable, give up the lock, tell the observers. The new version, or None when nothing was written.

        On any error everything is rolled back and the lock is given up.
        """
        version = self._store(tx, origin_timestamp)
        self._release_writer()
        if version is not None:
            self._bell.ring(version)
        return version

    def commit_pinned(self, tx: WriteTransaction, *, origin_timestamp: int | None = None) -> Snapshot:
        """Like :meth:`commit`, returning a snapshot of exactly the resulting version, opened under the lock."""
        version = self._store(tx, origin_timestamp)
        try:
            snapshot = self.snapshot()
        finally:
            self._release_writer()
        if version is not None:
            self._bell.ring(version)
        return snapshot

    def commit_and_continue(self, tx: WriteTransaction, *, origin_timestamp: int | None = None) -> WriteTransaction:
        """Commit, then begin the next transaction without letting another writer in between."""
        version = self._store(tx, origin_timestamp)
        if version is not None:
            self._bell.ring(version)
        return self.begin_next()

    def begin_next(self) -> WriteTransaction:
        """The next transaction of whoever holds the writer lock; it is given up when that fails."""
        try:
            with translating(self.path):
                self._tx = self.writer.begin()
        except BaseException:
            self._abandon_write()
            raise
        return self._tx

    def rollback(self, tx: WriteTransaction) -> None:
        """Undo everything and give up the lock."""
        with self._turning_guard:
            self._check_running(tx)
            self._abandon_write()

    @property
    def writer(self) -> Writer:
        """What those who keep the sync history write through.

        Raises WrongTransactionStateError for a read-only file.
        """
        if self._writer is None:
            raise WrongTransactionStateError(f"{self.path} was opened read-only")
        return self._writer

    @property
    def in_write(self) -> bool:
        """Whether a write transaction of this process runs."""
        return self._tx is not None

    @property
    def writer_waiting(self) -> bool:
        """Whether another thread of this process waits for the writer lock."""
        return self._lock is not None and self._lock.writer_waiting

    def _check_running(self, tx: WriteTransaction) -> None:
        self._check_open()
        if self._tx is not tx:
            raise WrongTransactionStateError("this write transaction has ended already; begin a new one")

    def _store(self, tx: WriteTransaction, origin_timestamp: int | None) -> int | None:
        """Commit, keeping the lock; on an error everything is rolled back and the lock given up."""
        self._check_running(tx)
        try:
            with translating(self.path):
                version = self.writer.commit(tx, origin_timestamp)
        except BaseException:
            self._abandon_write()
            raise
        self._tx = None
        self.writer.shorten_wal()
        return version

    def _abandon_write(self) -> None:
        """Roll back, whatever state the transaction is in, and let the next writer in."""
        self._tx = None
        try:
            if self._writer is not None and self._open:
                self._writer.rollback()
        finally:
            self._release_writer()

    def _release_writer(self) -> None:
        if self._lock is not None:
            self._lock.release_writer()

    def _attend(self, version: int) -> None:
        self._pin.attend(version, time.monotonic())

    def _store_pin(self, key: str, version: int | None) -> bool:
        """Tell other processes which version is held here; False where somebody else writes just now, or nobody can."""
        if self._lock is None or self._writer is None or not self._settings.durable or self._settings.vfs is not None:
            return False
        if not self._lock.acquire_writer(_PIN_TIMEOUT):
            return False
        try:
            with self._turning_guard, translating(self.path):
                self._check_open()
                self._writer.store_pin(key, version)
        finally:
            self._release_writer()
        return True

    # --- reading ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The newest version, also of other processes; the caller releases it. Costs microseconds."""
        self._check_open()
        with translating(self.path):
            with self._looking_guard:
                self._check_open()
                stamp: int = self._looking.execute("PRAGMA data_version").get
            return self._pool.acquire(stamp)

    @contextmanager
    def reading_alone(self) -> Iterator[Reader]:
        """A reader of the newest version on a connection of its own, for what reads everything.

        Whoever reads long through a shared :meth:`snapshot` holds its lock, and everybody else at that version waits.
        """
        self._check_open()
        with translating(self.path), closing(connect_reader(self._settings, self._lock)) as connection:
            connection.execute("BEGIN")
            version: int = connection.execute("SELECT max(version) FROM rlm_commit").get
            yield Reader(connection, catalogue.load(connection, None), version)

    @property
    def version(self) -> int:
        """The newest version, also of other processes."""
        self._check_open()
        return self._look()

    def _look(self) -> int:
        return int(self.query("SELECT max(version) FROM rlm_commit")[0][0])

    @property
    def number_of_versions(self) -> int:
        """Versions alive in this process: those held by snapshots, and the newest."""
        return len({*self._pool.versions, self.version})

    def query(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of one statement at the newest version, for private tables. Raises FileError."""
        with self.looking() as connection:
            return list(connection.execute(sql, values))

    @contextmanager
    def looking(self) -> Iterator[apsw.Connection]:
        """A connection for single queries at the newest version, for as short as possible: one thread at a time."""
        self._check_open()
        with translating(self.path), self._looking_guard:
            self._looker = threading.get_ident()
            connection = None
            try:
                self._check_open()
                connection = self._pool.borrow()
                yield connection
            finally:
                if connection is not None:
                    self._pool.give_back(connection)
                self._looker = 0
                if self._closes_after_look:
                    self._closes_after_look = False
                    self._close_connections()

    def on_commit(self, callback: Callable[[int], None]) -> Callable[[], None]:
        """Call ``callback(version)`` after each commit of this or (within 50 ms) another process; returns the remover.

        Called without the writer lock, on the committing thread or on the watcher thread: return quickly, raise
        nothing. (After :meth:`commit_and_continue` the lock is still held.)
        """
        self._check_open()
        return self._bell.observe(callback)

    def wait_for_version(
        self, after: int, timeout: float | None = None, enough: Callable[[], bool] | None = None
    ) -> int | None:
        """Wait until a version newer than ``after`` exists and return it; None after ``timeout`` s, or when closed.

        Or once ``enough()`` says so, which is asked now and then, and after :meth:`wake_waiters`.
        """
        self._check_open()
        return self._bell.wait(after, timeout, enough)

    def wake_waiters(self) -> None:
        """Whoever is in :meth:`wait_for_version` looks whether it is enough."""
        self._bell.wake()

    def change_logs(self, after: int, up_to: int) -> list[ChangeLog] | None:
        """The change logs of the versions ``after`` + 1 … ``up_to``, in order.

        None when some were trimmed already: compare the two snapshots instead (spec/sdk.md §13.8). They are kept while
        this process holds a snapshot of ``after``, and some time longer.
        """
        rows = self.query(
            "SELECT log FROM rlm_commit WHERE version > ? AND version <= ? ORDER BY version", (after, up_to)
        )
        if len(rows) < up_to - after:
            return None
        return [ChangeLog.decode(log) for (log,) in rows]

    # --- the file as a whole ------------------------------------------------------------------------------------------

    def lock_sync_agent(self) -> None:
        """Become the one sync agent of the file, over all processes. Raises MultipleSyncAgentsError."""
        self._check_open()
        if self._lock is None or not self._lock.acquire_agent():
            raise MultipleSyncAgentsError(
                f"{self.path} is synced by another session already; only one process at a time can sync a file"
            )

    def unlock_sync_agent(self) -> None:
        """Stop being the sync agent; does nothing when it was not."""
        if self._lock is not None:
            self._lock.release_agent()

    @property
    def has_sync_agent(self) -> bool | None:
        """Whether any process syncs the file now; None where that cannot be known."""
        return None if self._lock is None else self._lock.has_agent()

    def write_copy(self, path: str | os.PathLike[str], *, encryption_key: bytes | None = None) -> None:
        """A compacted, durable copy at ``path``, encrypted with its own key or not at all (spec/sdk.md §3.7).

        The newest version is copied, with its history. Raises FileError when the destination exists or cannot be made.
        """
        self._check_open()
        key = None if encryption_key is None else page_key(encryption_key)
        copies.write_copy(self._settings, os.path.realpath(path), key)

    def compact(self) -> bool:
        """Rewrite the file without free pages; False when another process or a snapshot is in the way.

        Raises WrongTransactionStateError inside a write transaction.
        """
        self._check_open()
        if self._lock is None or self._writer is None:
            raise WrongTransactionStateError(f"{self.path} was opened read-only")
        if self._tx is not None:
            raise WrongTransactionStateError("a file cannot be compacted inside a write transaction; commit first")
        if self._pool.versions or not self._lock.become_only_user():
            return False
        try:
            if not self._lock.acquire_writer(_COMPACT_TIMEOUT):
                return False
            try:
                self._pool.drop_idle()
                with self._looking_guard, translating(self.path):
                    self._writer.compact()
            finally:
                self._release_writer()
            return True
        finally:
            self._lock.admit_users()

    def space(self) -> tuple[int, int]:
        """Bytes of the file, and how many of them :meth:`compact` would keep at most (spec/sdk.md §3.6)."""
        rows = self.query(
            "SELECT page_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count,"
            " pragma_page_size"
        )
        pages, free, size = rows[0]
        return pages * size, (pages - free) * size

    @staticmethod
    def exists(path: str | os.PathLike[str]) -> bool:
        """Whether there is a file at ``path``."""
        return os.path.isfile(path)

    @staticmethod
    def delete(path: str | os.PathLike[str]) -> bool:
        """Remove the file and all its side files; False when there was none.

        Raises RealmInUseError when it is open in this or another process.
        """
        return delete_files(os.path.realpath(path))

    @property
    def connections(self) -> list[apsw.Connection]:
        """Every connection that is open now."""
        writing = [] if self._writer is None or self._writer.opened is None else [self._writer.opened]
        return [self._looking, *self._pool.connections(), *writing]

    # --- fork ---------------------------------------------------------------------------------------------------------

    def _abandon(self) -> None:
        """In the child of a fork: never touch, and never even destroy, a connection of the parent."""
        self._open = False
        self._forked = True
        self._tx = None
        for connection in self.connections:  # its destructor would write into a file that the parent is using
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
        self._pool.abandon()
        if self._temporary is not None:
            self._temporary.detach()


_registry: Final[dict[tuple[str, bool], RealmFile]] = {}
#: Files that were open when this process was forked. SQLite takes its parent's locks on them for its own, and so would
#: hold none: the parent's close removes the log under the child, and what the child has committed is gone.
_inherited: Final[set[str]] = set()
_registry_guard = threading.RLock()


def _forget_inherited() -> None:
    global _registry_guard
    _registry_guard = threading.RLock()
    for (path, _), file in _registry.items():
        _inherited.add(path)
        file._abandon()
    _registry.clear()
    watch.forget_inherited()


os.register_at_fork(after_in_child=_forget_inherited)
