"""The metadata store: users with their tokens, and what is still to be done with which file (spec/sessions.md §15.4).

An ordinary Realm file without history, readable by its owner only; encrypted if the manager was given a key. A store
that cannot be read (wrong key, damage) is deleted and made anew: users must log in again, Realm files stay. The number
of its layout is kept in the file: an older one is brought forward in one transaction, a newer one is left alone.

Several processes may use one store. They join one after the other, so that exactly one knows itself to be the first of
those that run: it does what an earlier run left to be done (§11.4). ``sync_metadata.realm.joining.lock`` is there for
taking turns.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw

from syncline.errors import FileError, InvalidDatabaseError, NewerFormatError, RealmInUseError
from syncline.storage.catalogue import ClassInfo
from syncline.storage.file import RealmFile
from syncline.storage.locks import LockFile
from syncline.storage.reader import Reader
from syncline.storage.system import meta_value, set_meta_value
from syncline.storage.transaction import WriteTransaction
from syncline.sync.session_errors import FileActionKind
from syncline.sync.states import SyncUserState
from syncline.values.kinds import BOOL, INT, STRING

__all__ = ["LAYOUT", "FileAction", "MetadataStore", "UserRecord", "is_unreadable"]

logger = logging.getLogger("syncline.sync")

LAYOUT: Final = 2
"""The layout that this code reads and writes; 0 is every store from before layouts were numbered, 1 did not know which
files a user has."""

_LAYOUT_KEY: Final = "metadata_layout"
_JOIN_SECONDS: Final = 30.0

_USER: Final = "UserMetadata"
_ACTION: Final = "FileActionMetadata"
_FILE: Final = "UserFileMetadata"
_USER_PROPERTIES: Final = {
    "identity": STRING,
    "local_uuid": STRING,
    "marked_for_removal": BOOL,
    "user_token": STRING,
    "access_token": STRING,
    "auth_server_url": STRING,
    "app_id": STRING,
    "provider": STRING,
    "device_id": STRING,
    "user_is_admin": BOOL,
    "state": INT,
}
_ACTION_PROPERTIES: Final = {"new_name": STRING, "action": INT, "url": STRING, "identity": STRING}
_FILE_PROPERTIES: Final = {"identity": STRING, "auth_server_url": STRING, "app_id": STRING}
_ACTION_NUMBERS: Final = frozenset(kind.value for kind in FileActionKind)
_NULLABLE: Final = frozenset({"new_name"})


class UserRecord(NamedTuple):
    """A user as stored; ``user_token`` is the refresh token. (identity, server, app) is the key (§13.4)."""

    identity: str
    auth_server_url: str
    app_id: str
    local_uuid: str
    user_token: str
    access_token: str
    provider: str
    device_id: str
    user_is_admin: bool
    state: int
    marked_for_removal: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes a user the same one."""
        return (self.identity, self.auth_server_url, self.app_id)


class FileAction(NamedTuple):
    """What is to be done with the file at ``original_name``; ``new_name`` is where its backup goes."""

    original_name: str
    new_name: str | None
    action: FileActionKind
    url: str
    identity: str


class MetadataStore:
    """Users and file actions on disk. Thread-safe; every change is durable when its method returns."""

    def __init__(self, path: Path | None, encryption_key: bytes | None = None, *, vfs: str | None = None) -> None:
        """Open or make the store; in memory where ``path`` is None. ``vfs``: for fault injection, as of RealmFile.

        Raises NewerFormatError for the store of a newer Syncline, FileError where none can be made.
        """
        self._lock = threading.Lock()
        self.is_first = True
        """Whether no other process, and no other manager of this one, used the store when it was opened."""
        self.is_stored = path is not None
        """Whether the next run will know what is written here."""
        if path is None:
            self._file = RealmFile.in_memory(history=False)
            _bring_forward(self._file)
            return
        with _joining(path):
            self.is_first = not _is_in_use(path)
            try:
                self._file = _opened(path, encryption_key, vfs)
            except FileError as error:
                if not is_unreadable(error):
                    raise
                logger.warning("the store of users is made anew, all users must log in again: %s", error)
                RealmFile.delete(path)
                self._file = _opened(path, encryption_key, vfs)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def users(self) -> list[UserRecord]:
        """All users, in the order of their first login."""
        with self._lock:
            return [UserRecord(**values) for _, values in _read(self._file, _USER)]

    def save_user(self, record: UserRecord) -> None:
        """Store a user, in place of the one with the same key."""
        with self._lock, self._file.write() as tx:
            cls = _found(tx, _USER)
            known = [k for k, values in _objects(tx, cls) if UserRecord(**values).key == record.key]
            k = known[0] if known else tx.create(cls)[0]
            for name, value in record._asdict().items():
                tx.set(cls, k, cls.properties[name], value)

    def remove_user(self, key: tuple[str, str, str]) -> None:
        """Forget a user, and which files the user has; the files are the caller's affair."""
        with self._lock, self._file.write() as tx:
            cls = _found(tx, _USER)
            tx.erase_many(cls, [k for k, values in _objects(tx, cls) if UserRecord(**values).key == key])
            cls = _found(tx, _FILE)
            tx.erase_many(cls, [k for k, values in _objects(tx, cls) if _owner(values) == key])

    def track_file(self, path: str, key: tuple[str, str, str]) -> None:
        """The file at ``path`` is the user's, and goes with the user (spec/sessions.md §13.1, §15.2)."""
        with self._lock, self._file.write() as tx:
            cls = _found(tx, _FILE)
            k, _ = tx.create(cls, path)
            for name, value in zip(_FILE_PROPERTIES, key, strict=True):
                tx.set(cls, k, cls.properties[name], value)

    def is_tracked(self, path: str, key: tuple[str, str, str]) -> bool:
        """Whether the file at ``path`` was tracked as the user's."""
        with self._lock, self._file.snapshot() as snapshot, snapshot.lock:
            cls, reader = snapshot.catalogue.find(_FILE), snapshot.reader
            k = None if cls is None else reader.find(cls, path)
            if cls is None or k is None:
                return False
            return tuple(reader.get(cls, k, cls.properties[name]) for name in _FILE_PROPERTIES) == key

    def files_of(self, key: tuple[str, str, str]) -> list[str]:
        """The files that were tracked for a user, there or not."""
        with self._lock:
            return [values["path"] for _, values in _read(self._file, _FILE) if _owner(values) == key]

    def file_actions(self) -> list[FileAction]:
        """What is still to be done; what this code cannot do is logged and stays."""
        with self._lock:
            rows = [values for _, values in _read(self._file, _ACTION)]
        for values in rows:
            if values["action"] not in _ACTION_NUMBERS:
                logger.warning("%s has the unknown file action %s", values["original_name"], values["action"])
        return [
            FileAction(**{**values, "action": FileActionKind(values["action"])})
            for values in rows
            if values["action"] in _ACTION_NUMBERS
        ]

    def save_file_action(self, action: FileAction) -> None:
        """Store an action, in place of the one for the same file (§11.2)."""
        with self._lock, self._file.write() as tx:
            cls = _found(tx, _ACTION)
            k, _ = tx.create(cls, action.original_name)
            values: dict[str, Any] = {**action._asdict(), "action": action.action.value}
            for name in _ACTION_PROPERTIES:
                tx.set(cls, k, cls.properties[name], values[name])

    def file_action(self, original_name: str) -> FileAction | None:
        """The action for a file, if there is one."""
        return next((action for action in self.file_actions() if action.original_name == original_name), None)

    def remove_file_action(self, original_name: str) -> None:
        """An action was carried out."""
        with self._lock, self._file.write() as tx:
            cls = _found(tx, _ACTION)
            k = tx.find(cls, original_name)
            if k is not None:
                tx.erase(cls, k)


def new_local_uuid() -> str:
    """A name for a new user's directory."""
    return str(uuid.uuid4())


@contextlib.contextmanager
def _joining(path: Path) -> Iterator[None]:
    """One process or thread at a time opens the store. Raises RealmInUseError."""
    lock = LockFile.open(f"{os.path.realpath(path)}.joining")
    assert lock is not None
    try:
        if not lock.acquire_writer(_JOIN_SECONDS):
            raise RealmInUseError(f"{path} is being opened by another process that does not end: try again later")
        try:
            yield
        finally:
            lock.release_writer()
    finally:
        lock.close()


def _is_in_use(path: Path) -> bool:
    """Whether anybody has the store open."""
    lock = LockFile.open(os.path.realpath(path))
    assert lock is not None
    try:
        return not lock.become_only_user()
    finally:
        lock.close()


def _opened(path: Path, encryption_key: bytes | None, vfs: str | None) -> RealmFile:
    """The store at ``path`` in the present layout, read once from end to end."""
    with contextlib.suppress(OSError):
        path.touch(mode=0o600)
        path.chmod(0o600)
    file = RealmFile.open(path, encryption_key=encryption_key, history=False, vfs=vfs)
    try:
        _bring_forward(file)
        for name in (_USER, _ACTION, _FILE):
            _read(file, name)
    except BaseException:
        file.close()
        raise
    return file


def is_unreadable(error: FileError) -> bool:
    """Whether what there is can never be read, rather than not now."""
    if isinstance(error, NewerFormatError):
        return False
    return isinstance(error, InvalidDatabaseError) or isinstance(error.__cause__, apsw.CorruptError)


def _bring_forward(file: RealmFile) -> None:
    """Make the classes of a new store, or give those of an older one what they lack. Raises NewerFormatError."""
    with file.looking() as connection:
        layout = meta_value(connection, _LAYOUT_KEY) or 0
    assert isinstance(layout, int)
    if layout > LAYOUT:
        raise NewerFormatError(
            f"{file.path} has layout {layout}, this Syncline knows layouts up to {LAYOUT}: install the newer Syncline "
            f"again, or give the SyncManager another base_directory"
        )
    if layout == LAYOUT:
        return
    with file.write() as tx:
        known = tx.catalogue.find(_USER)
        missing = set() if known is None else _USER_PROPERTIES.keys() - known.properties.keys()
        cls = _ensure(tx, _USER, _USER_PROPERTIES)
        for k, values in _objects(tx, cls):
            for name in missing:
                tx.set(cls, k, cls.properties[name], _value_before(name, values))
        _ensure(tx, _ACTION, _ACTION_PROPERTIES, primary_key="original_name")
        _ensure(tx, _FILE, _FILE_PROPERTIES, primary_key="path")
        set_meta_value(file.writer.connection, _LAYOUT_KEY, LAYOUT)


def _value_before(name: str, user: dict[str, Any]) -> Any:
    """What a property of a user was, unsaid, before there was such a property."""
    if name == "local_uuid":
        return user["identity"]  # directories were named after identities (spec/sessions.md §13.4)
    if name == "app_id":
        return "default"
    if name == "state":
        return int(SyncUserState.ACTIVE if user["user_token"] else SyncUserState.LOGGED_OUT)
    return user[name]


def _ensure(tx: WriteTransaction, name: str, properties: dict[str, int], primary_key: str | None = None) -> ClassInfo:
    """The class with its properties, made where they are missing."""
    if primary_key is None:
        cls = tx.add_class(name)
    else:
        cls = tx.add_class(name, primary_key=primary_key, key_type=STRING)
    for prop, kind in properties.items():
        if prop not in cls.properties:
            tx.add_property(cls, prop, kind, nullable=prop in _NULLABLE)
            cls = _found(tx, name)
    return cls


def _owner(file: dict[str, Any]) -> tuple[str, str, str]:
    """The key of the user whose file it is."""
    return (file["identity"], file["auth_server_url"], file["app_id"])


def _found(tx: WriteTransaction, name: str) -> ClassInfo:
    cls = tx.catalogue.find(name)
    if cls is None:
        raise FileError(f"the class {name} vanished from the store of users")
    return cls


def _read(file: RealmFile, class_name: str) -> list[tuple[int, dict[str, Any]]]:
    with file.snapshot() as snapshot, snapshot.lock:
        cls = snapshot.catalogue.find(class_name)
        return [] if cls is None else _objects(snapshot.reader, cls)


def _objects(reader: Reader, cls: ClassInfo) -> list[tuple[int, dict[str, Any]]]:
    names = [prop.name for prop in cls.singles]
    return [(k, dict(zip(names, row, strict=True))) for k, row in reader.page(cls, limit=-1)]
