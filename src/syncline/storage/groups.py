"""Several commits that reach the disk together: all of them, or none (spec/sdk.md §5.3).

They are one SQLite transaction, each of them a savepoint in it, with a version, a change log and a history entry of its
own. Readers see them at the end, together. Until then the group holds the writer lock. Also here: making commits
durable that did not wait for the disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncline.errors import FileError
from syncline.storage.connection import translating
from syncline.storage.locks import sync_file

if TYPE_CHECKING:
    from syncline.storage.file import RealmFile
    from syncline.storage.snapshot import Snapshot
    from syncline.storage.transaction import WriteTransaction

__all__ = ["CommitGroup", "make_durable"]


class CommitGroup:
    """Begun by committing the running transaction of ``file`` into it. An error ends it: nothing of it is kept."""

    def __init__(self, file: RealmFile) -> None:
        self._file = file
        self._version: int | None = None

    def commit(self, tx: WriteTransaction) -> int | None:
        """End a transaction; the new version, or None when nothing was written."""
        file = self._file
        file._check_running(tx)
        try:
            with translating(file.path):
                version = file.writer.commit(tx, None, in_group=True)
        except BaseException:
            file._abandon_write()
            raise
        file._tx = None
        self._version = version or self._version
        return version

    def rollback(self, tx: WriteTransaction) -> None:
        """Undo one transaction; those before it stay."""
        file = self._file
        file._check_running(tx)
        try:
            with translating(file.path):
                file.writer.undo_in_group()
        except BaseException:
            file._abandon_write()
            raise
        file._tx = None

    def finish(self) -> Snapshot:
        """Store everything, give up the lock, tell the observers; a snapshot of the resulting version."""
        file = self._file
        try:
            with translating(file.path):
                file.writer.finish_group()
        except BaseException:
            file._abandon_write()
            raise
        file.writer.shorten_wal()
        try:
            snapshot = file.snapshot()
        finally:
            file._release_writer()
        if self._version is not None:
            file._bell.ring(self._version)
        return snapshot


def make_durable(path: str) -> None:
    """See that every commit made so far survives a crash of the machine. Raises FileError; takes as long as the disk.

    What is no longer in the write-ahead log was durable before it left it.
    """
    try:
        sync_file(path + "-wal")
    except FileNotFoundError:
        return
    except OSError as error:
        raise FileError(f"what was written to {path} may not survive a crash of the machine: {error}") from error
