"""What an error asks to be done with the local file: now, by its token, or at the next start (spec/sessions.md §11).

An action is a row of the metadata store, there before anybody hears of the error. While it is carried out no Realm of
the file is open, in any process, and none can be opened. Steps of *back up, then delete*, each durable before the next;
a crash between any two is made good by carrying the row out again:

1. ``<backup>.unfinished`` is made: who finds this mark beside a backup knows that the backup is this action's own;
2. the copy grows under another name and gets its own when it is whole;
3. the row becomes *delete*, the mark goes;
4. the main file goes first, then what lies beside it; the row goes last.

The copy is made by the database's own operation. A file that it cannot read (encrypted, and there is no key at hand; or
damaged) is copied byte for byte with its write-ahead log.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from syncline.errors import (
    ERROR_ACTION_TOKEN_KEY,
    PATH_OF_REALM_BACKUP_COPY_KEY,
    ClosedRealmError,
    FileError,
    InvalidSessionError,
    RealmInUseError,
)
from syncline.storage.connection import check_header
from syncline.storage.copies import write_copy
from syncline.storage.file import RealmFile
from syncline.storage.locks import LockFile, side_files, sync_directory, sync_file
from syncline.storage.opening import FileSettings
from syncline.sync.fresh_copy import has_leftover, remove_leftover
from syncline.sync.metadata import FileAction, MetadataStore, is_unreadable
from syncline.sync.session_errors import FileActionKind

if TYPE_CHECKING:
    from syncline.sync.manager import SyncManager
    from syncline.sync.session_core import SessionCore

__all__ = ["ErrorActionToken", "carry_out", "carry_out_all", "delete_file", "delete_realm", "flag_file"]

logger = logging.getLogger("syncline.sync.reset")

_MAKER: Final = object()
_RELEASE_SECONDS: Final = 10.0
"""A session that has just ended gives its file back within this time."""

_COMPANIONS: Final = (".note", ".log", ".management")
"""What other Realm software leaves beside a file (spec/sessions.md §11.2), besides our own side files."""


class ErrorActionToken:
    """Lets the application have an error's file action done now; opaque, good for one use.

    Comes with client resets, refused permissions and deleted Realms; give it to
    :meth:`SyncSession.immediately_handle_error`.
    """

    def __init__(self, maker: object, manager: SyncManager, action: FileAction, is_stored: bool) -> None:
        if maker is not _MAKER:
            raise TypeError("an ErrorActionToken comes with an error; it cannot be made")
        self._manager = manager
        self._action: FileAction | None = action
        self._is_stored = is_stored
        self._lock = threading.Lock()

    @property
    def is_valid(self) -> bool:
        """Whether it has not been used yet."""
        return self._action is not None

    def user_info(self) -> dict[str, Any]:
        """What an error's ``user_info`` holds of it (spec/sessions.md §10.1)."""
        info: dict[str, Any] = {ERROR_ACTION_TOKEN_KEY: self}
        if self._action is not None and self._action.new_name is not None:
            info[PATH_OF_REALM_BACKUP_COPY_KEY] = self._action.new_name
        return info

    def spend(self) -> bool:
        """Do it now; whether it was done. Raises RealmInUseError, and stays valid, while the file is in use; raises
        InvalidSessionError once the manager is closed."""
        with self._lock:
            action = self._action
            if action is None:
                return False
            registry, path = self._manager.registry, action.original_name
            if registry.is_open(path):
                raise RealmInUseError(f"{path} is open: close all its Realms first, then use the token")
            if not registry.wait_for_release(path, _RELEASE_SECONDS):
                raise RealmInUseError(f"a session still works on {path}: let it end first, then use the token")
            self._action = None
            try:
                return self._run(action)
            except RealmInUseError:
                self._action = action
                raise
            except ClosedRealmError as error:
                self._action = action
                raise InvalidSessionError(
                    "the SyncManager of this token is closed: what is stored is done when the next one starts"
                ) from error

    def _run(self, action: FileAction) -> bool:
        """The stored action of the path counts: it may be newer than the token, or be done already (§11.3)."""
        metadata = self._manager.metadata
        stored = metadata.file_action(action.original_name)
        if stored is None:
            if self._is_stored:
                return False  # another token of the same file was used: what lies there now is a new file
            try:
                metadata.save_file_action(action)  # a deletion that is interrupted is finished at the next start
            except OSError as error:
                logger.error("nothing was done with %s, it cannot be stored first: %s", action.original_name, error)
                return False
        try:
            _perform(metadata, stored or action)
        except RealmInUseError:
            if stored is None:
                metadata.remove_file_action(action.original_name)
            raise
        except OSError as error:
            _log_failure(action, error)
            return False
        return True


def flag_file(core: SessionCore, kind: FileActionKind, *, is_stored: bool) -> tuple[ErrorActionToken, str | None]:
    """An error asks for something to be done with the file of a session: the token for it.

    ``is_stored``: the action is durable when this returns, and carried out at the next start if the token is not used.
    Where it cannot be stored the token alone does it, and there is a text for the log, which is the caller's, who holds
    locks.
    """
    manager, path, configuration = core.manager, core.path, core.configuration
    backup = None
    if kind is FileActionKind.BACK_UP_THEN_DELETE_REALM:
        backup = str(manager.layout.backup_path(configuration.recovery_directory))
    action = FileAction(path, backup, kind, configuration.resolved_url, configuration.user.identity)
    complaint = None
    if is_stored:
        try:
            manager.metadata.save_file_action(action)
        except OSError as error:
            is_stored = False
            complaint = f"what is to be done with {path} cannot be stored, only the error's token does it: {error}"
    return ErrorActionToken(_MAKER, manager, action, is_stored), complaint


def delete_realm(manager: SyncManager, path: str, encryption_key: bytes | None) -> bool:
    """Delete a synced Realm with everything beside it, and what was still to be done with it; whether it was there.

    Raises RealmInUseError while a Realm of the file is open, or a session still works on it, here or elsewhere.
    """
    path = os.path.realpath(path)
    registry = manager.registry
    if registry.is_open(path):
        raise RealmInUseError(f"{path} is open: close all its Realms first, then delete it")
    if registry.core_at(path) is not None or not registry.wait_for_release(path, _RELEASE_SECONDS):
        raise RealmInUseError(
            f"the session of {path} still uploads: wait for it (SyncManager.wait_for_sessions_to_terminate), or end it "
            "(SyncSession.shutdown_and_wait), then delete the file"
        )
    existed = os.path.exists(path)
    if existed and has_leftover(path):
        with suppress(FileError):  # what cannot be opened has no leftover that is ours
            file = RealmFile.open(path, encryption_key=encryption_key, create=False)
            try:
                remove_leftover(file)
            finally:
                file.close()
    delete_file(path)
    manager.metadata.remove_file_action(path)
    return existed


def delete_file(path: str) -> None:
    """Delete a Realm that nobody has open, with everything beside it. Raises RealmInUseError and other OSErrors."""
    with _alone_with(path):
        _delete(path)


def carry_out_all(metadata: MetadataStore) -> None:
    """Do what an earlier run left to be done (spec/sessions.md §11.4)."""
    for action in metadata.file_actions():
        carry_out(metadata, action)


def carry_out(metadata: MetadataStore, action: FileAction) -> bool:
    """Do one action (spec/sessions.md §11.2); its stored row goes once it is done, else stays for the next start."""
    try:
        _perform(metadata, action)
    except OSError as error:
        _log_failure(action, error)
        return False
    return True


def _log_failure(action: FileAction, error: OSError) -> None:
    logger.error("the file action on %s failed and stays for the next start: %s", action.original_name, error)


def _perform(metadata: MetadataStore, action: FileAction) -> None:
    """Raises RealmInUseError with nothing done, or another OSError (FileError) with the row left for the next time."""
    path = os.path.realpath(action.original_name)
    with _alone_with(path):
        if action.action is FileActionKind.BACK_UP_THEN_DELETE_REALM and os.path.exists(path):
            assert action.new_name is not None
            backup = Path(action.new_name)
            _back_up(path, backup)
            metadata.save_file_action(action._replace(action=FileActionKind.DELETE_REALM, new_name=None))
            with suppress(OSError):  # a mark that stays is in nobody's way
                _mark_of(backup).unlink(missing_ok=True)
        _delete(path)
    metadata.remove_file_action(action.original_name)


@contextmanager
def _alone_with(path: str) -> Iterator[None]:
    """Nobody has the Realm open, and nobody can open it meanwhile. Raises RealmInUseError."""
    if not any(os.path.lexists(name) for name in (path, f"{path}.lock")):
        yield
        return
    lock = LockFile.open(path)
    assert lock is not None
    try:
        if not lock.become_only_user():
            raise RealmInUseError(f"{path} is open, here or in another process: close all its Realms first")
        yield
    finally:
        lock.close()


# --- the backup -------------------------------------------------------------------------------------------------------


def _mark_of(backup: Path) -> Path:
    return Path(f"{backup}.unfinished")


def _back_up(path: str, backup: Path) -> None:
    """Copy the Realm at ``path``, durably, unless an interrupted run has done so. Raises FileError and OSError."""
    mark = _mark_of(backup)
    if os.path.lexists(backup):
        if mark.exists():
            sync_directory(str(backup))
            return
        raise FileError(f"the backup {backup} exists already")
    backup.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark.touch(mode=0o600)
    sync_directory(str(mark))
    try:
        _remove_leftovers(backup)
        if _is_readable(path):
            try:
                write_copy(FileSettings(path, None, True, time.time_ns), str(backup), None)
            except FileError as error:
                if not is_unreadable(error):
                    raise
                logger.warning("%s is backed up as it is: %s", path, error)
                _copy_raw(path, backup)
        else:
            _copy_raw(path, backup)
    except OSError:
        if not os.path.lexists(backup):
            mark.unlink(missing_ok=True)
        raise


def _is_readable(path: str) -> bool:
    """Whether the file is a database that needs no key."""
    try:
        return check_header(path, encrypted=False)
    except FileError:
        return False


def _remove_leftovers(backup: Path) -> None:
    """Remove what interrupted copies have left under names that only grew."""
    for growing in backup.parent.glob(f"{backup.name}.copying-*"):
        growing.unlink(missing_ok=True)
    Path(f"{backup}-wal").unlink(missing_ok=True)


def _copy_raw(path: str, backup: Path) -> None:
    """Copy a file with its write-ahead log byte for byte; the main file, which appears last, makes it a backup."""
    log, growing = f"{path}-wal", f"{backup}.copying-{os.getpid()}"
    try:
        if os.path.exists(log):
            shutil.copyfile(log, f"{backup}-wal")
            sync_file(f"{backup}-wal")
        shutil.copyfile(path, growing)
        sync_file(growing)
        os.rename(growing, backup)
        sync_directory(str(backup))
    except OSError:
        if not os.path.lexists(backup):
            _remove_leftovers(backup)
        raise


# --- the deletion -----------------------------------------------------------------------------------------------------


def _delete(path: str) -> None:
    """Delete a Realm with everything beside it, durably; what is missing is no failure. Raises OSError."""
    *beside, lock = side_files(path)
    for name in (path, *beside, *(path + suffix for suffix in _COMPANIONS), lock):
        with suppress(FileNotFoundError):
            if os.path.isdir(name) and not os.path.islink(name):
                shutil.rmtree(name)
            else:
                os.unlink(name)
    with suppress(FileNotFoundError):  # the whole directory is gone
        sync_directory(path)
