"""RealmFile: one Realm's file, its writer, its versions (spec/sdk.md §5, §13.1, §13.8, §13.12).

::

    file = RealmFile.open("shop.realm")                     one instance per path and process, counted
    with file.write() as tx:                                writer lock, BEGIN IMMEDIATE
        tx.create(...)                                      WriteTransaction: rows + instructions
                                                            exit: COMMIT of rows, change log and history entry; version + 1
    with file.snapshot() as snapshot: ...                   the newest version, pinned
    file.close()

Durability: WAL with ``synchronous=FULL``; when ``commit`` returns, the transaction survives a crash of process and
machine. Versions: the empty file is version 1; every commit that writes anything adds one; a commit that writes nothing
makes none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from syncline.storage.snapshot import Snapshot

if TYPE_CHECKING:
    from syncline.storage.transaction import WriteTransaction

__all__ = ["Clock", "FileLease", "RealmFile"]

#: What tells the time: Unix time in nanoseconds, as ``time.time_ns``.
Clock: TypeAlias = Callable[[], int]


class RealmFile:
    """An open Realm file. One instance per real path and process: ``open`` of an open path returns it, counted.

    Every method may be called on any thread. After ``fork`` the child must open the file anew; what it inherited raises
    ClosedRealmError.
    """

    path: str
    read_only: bool
    keeps_history: bool

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        encryption_key: bytes | None = None,
        history: bool | None = None,
        read_only: bool = False,
        create: bool = True,
        clock: Clock | None = None,
        vfs: str | None = None,
    ) -> RealmFile:
        """Open the file, or create it.

        ``encryption_key``: 64 bytes (spec/sdk.md §13.9). ``history``: whether commits record what a sync client uploads
        (``rlm_history``); fixed when the file is created, None = as it is (new file: True). ``read_only``: nothing is
        ever written, the file must exist. ``clock``: used for commit times; the first opener's counts. ``vfs``: name of a
        registered SQLite VFS (fault injection).

        Raises FileError (no such directory, no permission, missing and ``create`` False, ``history`` differs),
        NotARealmError, NewerFormatError, DecryptionFailedError (also: open in this process with another key).
        """
        ...

    @classmethod
    def in_memory(cls, identifier: str | None = None, *, history: bool = True, clock: Clock | None = None) -> RealmFile:
        """A Realm in a private temporary directory that goes with its last close (spec/sdk.md §13.1).

        Openers with the same ``identifier`` in this process share it; None is always a new one.
        """
        ...

    def close(self) -> None:
        """Give one reference back; the last one rolls back a running write and closes every connection."""
        ...

    def share(self) -> RealmFile:
        """The same file with one more reference."""
        ...

    @property
    def is_closed(self) -> bool: ...

    # --- writing ----------------------------------------------------------------------------------------------------

    @contextmanager
    def write(
        self, timeout: float | None = None, *, origin_timestamp: int | None = None
    ) -> Iterator[WriteTransaction]:
        """A write transaction: committed at the end of the block, rolled back when it raises.

        Waits ``timeout`` seconds for the writer lock (None: without limit). ``origin_timestamp`` (milliseconds since
        2015-01-01) replaces the clock in the history entry. Committing or rolling back inside the block is allowed; its
        end then does nothing. Raises WriteTimeoutError, DiskFullError and FileError (rolled back; the file stays usable).
        """
        ...

    def begin(self, timeout: float | None = None) -> WriteTransaction:
        """Take the writer lock (fair: first come, first served) and begin at the newest version.

        Release your own snapshot first: an old one keeps the write-ahead log from being reused. While the lock is held,
        :meth:`snapshot` gives exactly the version the transaction began at. The transaction may end on another thread.
        """
        ...

    def commit(self, tx: WriteTransaction, *, origin_timestamp: int | None = None) -> int | None:
        """Make it durable, give up the lock, tell the observers. The new version, or None when nothing was written.

        On any error everything is rolled back and the lock is given up.
        """
        ...

    def commit_pinned(self, tx: WriteTransaction, *, origin_timestamp: int | None = None) -> Snapshot:
        """Like :meth:`commit`, returning a snapshot of exactly the resulting version, opened under the lock."""
        ...

    def commit_and_continue(self, tx: WriteTransaction, *, origin_timestamp: int | None = None) -> WriteTransaction:
        """Commit, then begin the next transaction without letting another writer in between."""
        ...

    def rollback(self, tx: WriteTransaction) -> None:
        """Undo everything and give up the lock."""
        ...

    @property
    def writer_waiting(self) -> bool:
        """Whether another thread of this process waits for the writer lock."""
        ...

    # --- reading ----------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The newest version, also of other processes; the caller releases it. Costs microseconds."""
        ...

    @property
    def version(self) -> int:
        """The newest version, also of other processes."""
        ...

    @property
    def number_of_versions(self) -> int:
        """Versions alive in this process: those held by snapshots, and the newest."""
        ...

    def on_commit(self, callback: Callable[[int], None]) -> Callable[[], None]:
        """Call ``callback(version)`` after each commit of this or (within 50 ms) another process; returns the remover.

        Called without the writer lock, on the committing thread or on the watcher thread: return quickly, raise nothing.
        """
        ...

    def wait_for_version(self, after: int, timeout: float | None = None) -> int | None:
        """Wait until a version newer than ``after`` exists and return it; None after ``timeout`` seconds."""
        ...

    def change_logs(self, after: int, up_to: int) -> list[bytes] | None:
        """The change logs of the versions ``after`` + 1 … ``up_to``, in order.

        None when some were trimmed already: compare the two snapshots instead (spec/sdk.md §13.8).
        """
        ...

    # --- the file as a whole ----------------------------------------------------------------------------------------

    def lock_sync_agent(self) -> None:
        """Become the one sync agent of the file, over all processes. Raises MultipleSyncAgentsError."""
        ...

    def unlock_sync_agent(self) -> None:
        """Stop being the sync agent; does nothing when it was not."""
        ...

    def write_copy(self, path: str | os.PathLike[str], *, encryption_key: bytes | None = None) -> None:
        """A compacted, durable copy at ``path``, encrypted with its own key or not at all (spec/sdk.md §3.7).

        Raises FileError when the destination exists.
        """
        ...

    def compact(self) -> bool:
        """Rewrite the file without free pages; False when another process or snapshot keeps it from happening."""
        ...

    @staticmethod
    def exists(path: str | os.PathLike[str]) -> bool:
        """Whether there is a file at ``path``."""
        ...

    @staticmethod
    def delete(path: str | os.PathLike[str]) -> bool:
        """Remove the file and all its side files; False when there was none.

        Raises RealmInUseError when it is open in this or another process.
        """
        ...


class FileLease:
    """A counted reference that can be given back once only, however often it is closed."""

    def __init__(self, file: RealmFile) -> None:
        """Take over the caller's reference."""
        ...

    @property
    def file(self) -> RealmFile:
        """The open file. Raises ClosedRealmError after :meth:`close`."""
        ...

    def share(self) -> FileLease:
        """Another lease of the same file."""
        ...

    def close(self) -> None:
        """Give the reference back. Calling it again does nothing."""
        ...
