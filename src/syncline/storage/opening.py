"""From a path to checked, open connections: finding out what a file is, and making a new one (spec/sdk.md §13.1)."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, NamedTuple

import apsw

from syncline.errors import FileError, FormatUpgradeRequiredError, MismatchedConfigError, RealmFileNotFoundError
from syncline.storage import full_text, system
from syncline.storage.connection import APPLICATION_ID, FORMAT, check_header, check_identity, connect, translating
from syncline.storage.locks import LockFile, is_on_read_only_medium, is_used_here, may, sync_directory
from syncline.storage.writer import Clock

__all__ = ["FileSettings", "OpenParts", "check_history", "connect_reader", "connect_writer", "open_parts"]

#: ``rlm_meta``: 1 where commits make history entries.
_HISTORY: Final = "history"

_DAMAGED: Final = "{} is damaged ({}); restore it from a backup, or delete it and download it again"


class FileSettings(NamedTuple):
    """How a file is to be opened; ``key`` is a page key (``connection.page_key``).

    ``new_history``: whether a new file keeps a history, if its opener says nothing of it. ``may_upgrade``: whether a
    file that an older Syncline has made gets what it lacks.
    """

    path: str
    key: bytes | None
    read_only: bool
    clock: Clock
    durable: bool = True
    vfs: str | None = None
    keep_asymmetric: bool = False
    new_history: bool = True
    may_upgrade: bool = True


class OpenParts(NamedTuple):
    """What an open file consists of. ``lock`` is None where nothing can be written.

    ``looking`` only looks whether there is something new, and never needs to know the schema; ``reading`` is the first
    connection for readers; ``writing`` is there if the file had to be written. ``keeps_history`` is what the file says
    of itself.
    """

    lock: LockFile | None
    writing: apsw.Connection | None
    looking: apsw.Connection
    reading: apsw.Connection
    keeps_history: bool

    def close(self) -> None:
        """Give everything back, where nothing came of it."""
        for connection in (self.reading, self.looking, self.writing):
            if connection is not None:
                connection.close(True)
        if self.lock is not None:
            self.lock.close()


def check_history(path: str, keeps_history: bool, wanted: bool | None) -> None:
    """Raises MismatchedConfigError when a caller wants history where there is none, or the other way round."""
    if wanted is not None and wanted != keeps_history:
        made, use = ("with", "without") if keeps_history else ("without", "with")
        raise MismatchedConfigError(
            f"{path} was created {made} sync history and cannot be used {use} it; copy its objects to a new Realm"
        )


def connect_writer(settings: FileSettings, *, create: bool = False) -> apsw.Connection:
    """A connection that writes; it may ``create`` the file."""
    return connect(
        settings.path, settings.key, writable=True, create=create, durable=settings.durable, vfs=settings.vfs
    )


def connect_reader(settings: FileSettings, lock: LockFile | None) -> apsw.Connection:
    """A connection that only reads.

    Without a lock file (a read-only medium) nobody can be writing, and SQLite must not try to make its shared memory;
    with a write-ahead log left there it has to, or commits would be missing.
    """
    log = settings.path + "-wal"
    immutable = not os.path.exists(log) and (lock is None or (settings.read_only and is_on_read_only_medium(log)))
    connection = connect(settings.path, settings.key, writable=False, immutable=immutable, vfs=settings.vfs)
    if settings.read_only and os.path.exists(log):  # what a crash has left there stays there
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection


@contextmanager
def _access(settings: FileSettings) -> Iterator[None]:
    """FileError says what is missing to a reader who may not make, or not read, what SQLite keeps beside the file."""
    try:
        yield
    except (apsw.CantOpenError, apsw.ReadOnlyError) as error:
        problem = _forbidden(settings.path) if settings.read_only else None
        if problem is None:
            raise
        raise FileError(problem) from error


def _forbidden(path: str) -> str | None:
    """What the user of this process may not do that reading takes; None if it is something else."""
    log, shared, directory = path + "-wal", path + "-shm", os.path.dirname(path)
    has_log = os.path.exists(log)
    for each in (log, shared):
        if os.path.exists(each) and not may(each, os.R_OK):
            return f"this user may not read {each}: allow it to, as reading the Realm is allowed"
    if may(directory, os.W_OK):
        return None
    return (
        f"this user may not write in {directory}, where SQLite needs {shared} to read a Realm that others may write: "
        "allow it to, keep the Realm open in a process that may, or read a copy"
        f"{f' of it and of {log}, which holds commits' if has_log else ' of it'}"
    )


@contextmanager
def _damage(path: str) -> Iterator[None]:
    """A file that says it is a Realm but lacks what every Realm has raises FileError."""
    try:
        yield
    except apsw.SQLError as error:
        raise FileError(f"{path} is damaged ({error}); restore it from a backup, or delete it") from error


def open_parts(settings: FileSettings, history: bool | None, create: bool) -> OpenParts:
    """Check the file and open its connections, creating it where allowed; see :meth:`RealmFile.open` for the errors."""
    path = settings.path
    with _damage(path), translating(path), _access(settings), ExitStack() as on_failure:
        directory = os.path.dirname(path)
        if not os.path.isdir(directory):
            raise FileError(f"there is no directory {directory}: create it, then open the Realm")
        exists = _is_there(path, _has_content(settings), create)
        lock = LockFile.open(path, settings.read_only)
        if lock is not None:
            on_failure.callback(lock.close)
        exists = _is_there(path, exists and os.path.exists(path), create)  # or deleted until we became a user of it
        writing = None if exists or settings.read_only else _made(settings, lock, history, on_failure)
        looking = connect_reader(settings, lock)
        on_failure.callback(looking.close, True)
        if not check_identity(looking, path):
            if settings.read_only or writing is not None:
                raise FileError(f"there is no Realm at {path}, only an empty file")
            writing = _made(settings, lock, history, on_failure)
        reading = connect_reader(settings, lock)
        on_failure.callback(reading.close, True)
        keeps_history, lacks_words = _looked_into(reading, path)
        check_history(path, keeps_history, history)
        if lock is not None and not settings.read_only and lacks_words:
            _check_upgrade(settings)
            if writing is None:
                writing = connect_writer(settings)
                on_failure.callback(writing.close, True)
            lock.acquire_writer()
            try:
                with _transaction(writing):
                    full_text.complete(writing)
            finally:
                lock.release_writer()
        on_failure.pop_all()
        return OpenParts(lock, writing, looking, reading, keeps_history)


def _has_content(settings: FileSettings) -> bool:
    """Whether there is a file with something in it; see :func:`check_header` for the errors.

    One that this process has open is not opened and closed besides SQLite: POSIX would drop the locks that SQLite has
    on it, and the next process to close it would take the write-ahead log away.
    """
    if is_used_here(settings.path):
        return os.path.exists(settings.path) and os.path.getsize(settings.path) > 0
    return check_header(settings.path, settings.key is not None)


def _looked_into(connection: apsw.Connection, path: str) -> tuple[bool, bool]:
    """Whether the file keeps a history, and whether it lacks tables of words. Raises FileError for half a file."""
    try:
        keeps_history = bool(system.meta_value(connection, _HISTORY))
        version = connection.execute("SELECT max(version) FROM rlm_commit").get
        lacks_words = bool(full_text.missing(connection))
    except apsw.SQLError as error:
        raise FileError(_DAMAGED.format(path, error)) from error
    if not isinstance(version, int):
        raise FileError(_DAMAGED.format(path, "it has no version"))
    return keeps_history, lacks_words


def _is_there(path: str, exists: bool, create: bool) -> bool:
    """``exists``. Raises RealmFileNotFoundError if the file does not, and must not be made."""
    if not exists and not create:
        raise RealmFileNotFoundError(f"there is no Realm at {path}")
    return exists


def _check_upgrade(settings: FileSettings) -> None:
    """Raise FormatUpgradeRequiredError where a file that an older Syncline made has to stay as it is."""
    if not settings.may_upgrade:
        raise FormatUpgradeRequiredError(
            f"{settings.path} was made by an older Syncline and would have to be brought up to date, which "
            "disable_format_upgrade forbids: open it read-only, or without that setting"
        )


def _made(
    settings: FileSettings, lock: LockFile | None, history: bool | None, on_failure: ExitStack
) -> apsw.Connection:
    """A writing connection to a file that may have to be made first."""
    assert lock is not None
    writing = connect_writer(settings, create=True)
    on_failure.callback(writing.close, True)
    if not check_identity(writing, settings.path):
        lock.acquire_writer()
        try:
            _create(writing, settings, settings.new_history if history is None else history)
        finally:
            lock.release_writer()
    return writing


@contextmanager
def _transaction(connection: apsw.Connection) -> Iterator[None]:
    """All of it or nothing; where SQLite has undone it already, as on a full disk, the error says why."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _create(connection: apsw.Connection, settings: FileSettings, history: bool) -> None:
    """Make what a new file holds, under the writer lock, unless another process has just done it."""
    connection.pragma("journal_mode", "wal")
    with _transaction(connection):
        if check_identity(connection, settings.path):
            return
        meta: dict[str, system.SystemValue] = {"uuid": uuid.uuid4().hex, _HISTORY: int(history)}
        system.create_tables(connection, meta, settings.clock() // 1_000_000)
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", FORMAT)
    if settings.durable:
        sync_directory(settings.path)
