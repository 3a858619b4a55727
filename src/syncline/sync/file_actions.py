"""What an error asks to be done with the local file: now, by its token, or at the next start (spec/sessions.md §11).

The backup is a whole Realm file, durable before the original is deleted. It is made by the database's own copy
operation; for an encrypted file whose key is not at hand (at the next start) the main file and its write-ahead log are
copied byte for byte, which no process may have open then.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from syncline.errors import (
    ERROR_ACTION_TOKEN_KEY,
    PATH_OF_REALM_BACKUP_COPY_KEY,
    DecryptionFailedError,
    FileError,
    RealmInUseError,
)
from syncline.storage.file import RealmFile
from syncline.sync.metadata import FileAction, MetadataStore
from syncline.sync.session_errors import FileActionKind

if TYPE_CHECKING:
    from syncline.sync.manager import SyncManager

__all__ = ["ErrorActionToken", "carry_out", "carry_out_all", "make_token"]

logger = logging.getLogger("syncline.sync.reset")

_MAKER: Final = object()
_RELEASE_SECONDS: Final = 10.0
"""A session that has just ended gives its file back within this time."""


class ErrorActionToken:
    """Lets the application have an error's file action done now; opaque, good for one use.

    Comes with client resets, refused permissions and deleted Realms; give it to
    :meth:`SyncSession.immediately_handle_error`.
    """

    def __init__(self, maker: object, manager: SyncManager, action: FileAction) -> None:
        if maker is not _MAKER:
            raise TypeError("an ErrorActionToken comes with an error; it cannot be made")
        self._manager = manager
        self._action: FileAction | None = action

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
        """Do it now; whether it was done. Raises RealmInUseError, and stays valid, while a Realm of it is open."""
        action = self._action
        if action is None:
            return False
        if self._manager.registry.is_open(action.original_name):
            raise RealmInUseError(f"{action.original_name} is open: close all its Realms first, then use the token")
        self._manager.registry.wait_for_release(action.original_name, _RELEASE_SECONDS)
        self._action = None
        return carry_out(self._manager.metadata, action)


def make_token(manager: SyncManager, action: FileAction) -> ErrorActionToken:
    """The token of an action."""
    return ErrorActionToken(_MAKER, manager, action)


def carry_out_all(metadata: MetadataStore) -> None:
    """Do what an earlier run left to be done (spec/sessions.md §11.4)."""
    for action in metadata.file_actions():
        carry_out(metadata, action)


def carry_out(metadata: MetadataStore, action: FileAction) -> bool:
    """Do one action (spec/sessions.md §11.2); its stored row goes once it is done, else stays for the next start."""
    path = Path(action.original_name)
    try:
        if action.action is FileActionKind.BACK_UP_THEN_DELETE_REALM and path.exists():
            assert action.new_name is not None
            _back_up(path, Path(action.new_name))
            action = action._replace(action=FileActionKind.DELETE_REALM, new_name=None)
            _delete(path)
        else:
            _delete(path)
    except (OSError, FileError) as error:
        logger.error("the file action on %s failed and stays for the next start: %s", path, error)
        if metadata.file_action(action.original_name) is not None:
            metadata.save_file_action(action)  # after a copy that succeeded only the deletion is left
        return False
    metadata.remove_file_action(action.original_name)
    return True


def _back_up(path: Path, backup: Path) -> None:
    if backup.exists():
        raise FileError(f"the backup {backup} exists already")
    backup.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        file = RealmFile.open(path, create=False)
    except DecryptionFailedError:
        _copy_raw(path, backup)
        return
    try:
        file.write_copy(backup)
    finally:
        file.close()


def _copy_raw(path: Path, backup: Path) -> None:
    """Copy an encrypted file with its write-ahead log, whole or not at all."""
    log = Path(f"{path}-wal")
    try:
        if log.exists():
            _copy_durably(log, Path(f"{backup}-wal"))
        _copy_durably(path, backup)
    except OSError:
        for part in (backup, Path(f"{backup}-wal")):
            part.unlink(missing_ok=True)
        raise


def _copy_durably(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    with target.open("rb+") as copy:
        os.fsync(copy.fileno())
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _delete(path: Path) -> None:
    """Delete a Realm with everything beside it; what is missing is no failure."""
    RealmFile.delete(path)
    shutil.rmtree(f"{path}.management", ignore_errors=True)
