"""The metadata store: users with their tokens, and what is still to be done with which file (spec/sessions.md §15.4).

An ordinary Realm file without history, readable by its owner only; encrypted if the manager was given a key. A store
that cannot be opened is deleted and made anew: users must log in again, Realm files stay.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import uuid
from pathlib import Path
from typing import Any, Final, NamedTuple

from syncline.errors import DecryptionFailedError, FileError, NotARealmError
from syncline.storage.catalogue import ClassInfo
from syncline.storage.file import RealmFile
from syncline.storage.reader import Reader
from syncline.storage.transaction import WriteTransaction
from syncline.sync.session_errors import FileActionKind
from syncline.values.kinds import BOOL, INT, STRING

__all__ = ["FileAction", "MetadataStore", "UserRecord"]

logger = logging.getLogger("syncline.sync")

_USER: Final = "UserMetadata"
_ACTION: Final = "FileActionMetadata"
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

    def __init__(self, path: Path | None, encryption_key: bytes | None = None) -> None:
        """Open or make the store; in memory where ``path`` is None. Raises FileError where none can be made."""
        self._lock = threading.Lock()
        if path is None:
            self._file = RealmFile.in_memory(history=False)
            return
        try:
            self._file = RealmFile.open(path, encryption_key=encryption_key, history=False)
        except (NotARealmError, DecryptionFailedError) as error:
            logger.warning("the store of users cannot be read and is made anew, all users must log in again: %s", error)
            RealmFile.delete(path)
            self._file = RealmFile.open(path, encryption_key=encryption_key, history=False)
        with contextlib.suppress(OSError):
            path.chmod(0o600)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def users(self) -> list[UserRecord]:
        """All users, in the order of their first login."""
        with self._lock:
            return [UserRecord(**values) for _, values in self._read(_USER)]

    def save_user(self, record: UserRecord) -> None:
        """Store a user, in place of the one with the same key."""
        with self._lock, self._file.write() as tx:
            cls = _ensure(tx, _USER, _USER_PROPERTIES)
            known = [k for k, values in _objects(tx, cls) if UserRecord(**values).key == record.key]
            k = known[0] if known else tx.create(cls)[0]
            for name, value in record._asdict().items():
                tx.set(cls, k, cls.properties[name], value)

    def remove_user(self, key: tuple[str, str, str]) -> None:
        """Forget a user; its Realm files are the caller's affair."""
        with self._lock, self._file.write() as tx:
            cls = _ensure(tx, _USER, _USER_PROPERTIES)
            tx.erase_many(cls, [k for k, values in _objects(tx, cls) if UserRecord(**values).key == key])

    def file_actions(self) -> list[FileAction]:
        """What is still to be done."""
        with self._lock:
            return [
                FileAction(**{**values, "action": FileActionKind(values["action"])})
                for _, values in self._read(_ACTION)
            ]

    def save_file_action(self, action: FileAction) -> None:
        """Store an action, in place of the one for the same file (§11.2)."""
        with self._lock, self._file.write() as tx:
            cls = _ensure(tx, _ACTION, _ACTION_PROPERTIES, primary_key="original_name")
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
            cls = _ensure(tx, _ACTION, _ACTION_PROPERTIES, primary_key="original_name")
            k = tx.find(cls, original_name)
            if k is not None:
                tx.erase(cls, k)

    def _read(self, class_name: str) -> list[tuple[int, dict[str, Any]]]:
        with self._file.snapshot() as snapshot, snapshot.lock:
            cls = snapshot.catalogue.find(class_name)
            return [] if cls is None else _objects(snapshot.reader, cls)


def new_local_uuid() -> str:
    """A name for a new user's directory."""
    return str(uuid.uuid4())


def _ensure(tx: WriteTransaction, name: str, properties: dict[str, int], primary_key: str | None = None) -> ClassInfo:
    """The class with its properties, made where the store is new or of an older version."""
    if primary_key is None:
        cls = tx.add_class(name)
    else:
        cls = tx.add_class(name, primary_key=primary_key, key_type=STRING)
    for prop, kind in properties.items():
        if prop not in cls.properties:
            tx.add_property(cls, prop, kind, nullable=prop in _NULLABLE)
            cls = tx.add_class(name) if primary_key is None else _found(tx, name)
    return cls


def _found(tx: WriteTransaction, name: str) -> ClassInfo:
    cls = tx.catalogue.find(name)
    if cls is None:
        raise FileError(f"the class {name} vanished from the store of users")
    return cls


def _objects(reader: Reader, cls: ClassInfo) -> list[tuple[int, dict[str, Any]]]:
    names = [prop.name for prop in cls.singles]
    return [(k, dict(zip(names, row, strict=True))) for k, row in reader.page(cls, limit=-1)]
