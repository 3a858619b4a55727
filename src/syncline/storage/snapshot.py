"""Snapshots: readers that stay at one version while writers go on (spec/sdk.md §13.8).

A snapshot is a connection with an open read transaction. It is counted, shared by everyone in the process who reads the
same version, and its connection goes back to a pool with the last user. The pool keeps no version alive by itself, so
that the write-ahead log can start over. Rests on :class:`~syncline.storage.reader.Reader`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final

import apsw

from syncline.errors import ClosedRealmError, WrongTransactionStateError
from syncline.storage import catalogue
from syncline.storage.catalogue import Catalogue
from syncline.storage.reader import Reader

__all__ = ["Snapshot", "SnapshotPool"]

#: Connections kept ready for the next snapshot.
_IDLE_LIMIT: Final = 4


class Snapshot:
    """One version of a file, readable until :meth:`release`. Made by :meth:`RealmFile.snapshot`.

    Hold :attr:`lock` around every use of :attr:`reader` (and of anything lazily read from it): the same snapshot may
    serve several threads, and a connection serves one at a time::

        with file.snapshot() as snapshot, snapshot.lock:
            name = snapshot.reader.get(...)
    """

    def __init__(self, pool: SnapshotPool, connection: apsw.Connection, known: Catalogue, version: int) -> None:
        self.version = version
        #: the classes and properties of this version
        self.catalogue = known
        self.lock = threading.RLock()
        self._pool = pool
        self._connection: apsw.Connection | None = connection
        self._reader = Reader(connection, known, version)
        self._users = 1

    @property
    def reader(self) -> Reader:
        """What reads this version. Raises ClosedRealmError once it is released everywhere or the file closed."""
        if self._connection is None:
            raise ClosedRealmError(f"version {self.version} is not held any more: its Realm was closed or moved on")
        return self._reader

    def acquire(self) -> Snapshot:
        """The same snapshot with one more user; each user releases once. Raises ClosedRealmError when it has ended."""
        self._pool.add_user(self)
        return self

    def release(self) -> None:
        """Give one use back. The last one frees the version.

        Raises WrongTransactionStateError when released too often.
        """
        self._pool.remove_user(self)

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class SnapshotPool:
    """The snapshots of one file in this process, by version, and connections to make more of them from.

    Releasing never waits for the pool, because a finalizer may release in the middle of anything: it queues the
    snapshot, and whoever has the pool next takes it from there.
    """

    def __init__(self, connect: Callable[[], apsw.Connection], first: apsw.Connection) -> None:
        """``connect`` makes connections; ``first`` is one that is there already."""
        self._connect = connect
        self._guard = threading.Lock()
        self._idle = [first]
        self._lent: list[apsw.Connection] = []
        self._live: dict[int, Snapshot] = {}
        self._released: deque[Snapshot] = deque()
        self._newest: Snapshot | None = None
        self._stamp = -1
        self._catalogue: Catalogue | None = None
        self._open = True

    def acquire(self, stamp: int) -> Snapshot:
        """The newest version. ``stamp`` is SQLite's ``data_version`` as seen just before, equal as long as it is."""
        with self._guard:
            if not self._open:
                raise ClosedRealmError("the Realm was closed")
            snapshot = self._newest
            if snapshot is None or stamp != self._stamp:
                snapshot = self._open_newest()
                self._newest, self._stamp = snapshot, stamp
            else:
                snapshot._users += 1
        self._take_back()
        return snapshot

    def _open_newest(self) -> Snapshot:
        connection = self._take_idle()
        try:
            connection.execute("BEGIN")
            version: int = connection.execute("SELECT max(version) FROM rlm_commit").get
            snapshot = self._live.get(version)
            if snapshot is not None:  # the stamp moved for another reason than a commit
                snapshot._users += 1
                self._put_back(connection)
                return snapshot
            self._catalogue = catalogue.load(connection, self._catalogue)
            snapshot = Snapshot(self, connection, self._catalogue, version)
        except BaseException:
            connection.close(True)
            raise
        self._live[version] = snapshot
        return snapshot

    def _take_idle(self) -> apsw.Connection:
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def borrow(self) -> apsw.Connection:
        """A connection outside of any transaction, to be given back."""
        connection = self._take_idle()
        self._lent.append(connection)
        return connection

    def give_back(self, connection: apsw.Connection) -> None:
        """The end of :meth:`borrow`."""
        self._lent.remove(connection)
        self._keep(connection)

    def begin_anew(self, write_back: Callable[[], bool]) -> bool:
        """Have ``write_back`` empty the write-ahead log, and nobody here need it any more; whether that was possible.

        Nobody may commit meanwhile. A snapshot that began before holds on to its part of the log, even where all of it
        is in the file by now, and the log cannot start over. One that begins afterwards reads the file alone. So the
        newest version, if it is the only one held, begins once more.
        """
        self._take_back()
        with self._guard:
            snapshots = list(self._live.values())
            if len(snapshots) > 1:
                return False
            if not snapshots:
                return write_back()
            (snapshot,) = snapshots
            if not snapshot.lock.acquire(blocking=False):  # somebody reads just now
                return False
            try:
                if snapshot._connection is None or not write_back():
                    return False
                snapshot._connection.execute("ROLLBACK; BEGIN; SELECT max(version) FROM rlm_commit").fetchall()
            finally:
                snapshot.lock.release()
        return True

    def add_user(self, snapshot: Snapshot) -> None:
        """One more user of a snapshot that has one."""
        with self._guard:
            if snapshot._users == 0:
                raise ClosedRealmError(
                    f"version {snapshot.version} is not held any more: acquire it before its last release"
                )
            snapshot._users += 1
        self._take_back()

    def remove_user(self, snapshot: Snapshot) -> None:
        """One user less."""
        if snapshot._users == 0:
            if not self._open:
                return
            raise WrongTransactionStateError(
                f"the snapshot of version {snapshot.version} was released more often than acquired"
            )
        self._released.append(snapshot)
        self._take_back()

    def _take_back(self) -> None:
        """Deal with what was released, unless somebody else has the pool and will do it."""
        while self._released and self._guard.acquire(blocking=False):
            ended: list[Snapshot] = []
            try:
                while self._released:
                    snapshot = self._released.popleft()
                    snapshot._users -= 1
                    if snapshot._users == 0:
                        ended.append(snapshot)
                        self._live.pop(snapshot.version, None)
                        if self._newest is snapshot:
                            self._newest = None
            finally:
                self._guard.release()
            for snapshot in ended:
                self._end(snapshot)

    def _end(self, snapshot: Snapshot) -> None:
        """Nobody else can reach it now, but another thread may still be inside its last read."""
        with snapshot.lock:
            connection, snapshot._connection = snapshot._connection, None
        if connection is not None:
            self._put_back(connection)

    def _put_back(self, connection: apsw.Connection) -> None:
        """End the read transaction; the connection is free."""
        if self._open:
            connection.execute("ROLLBACK")
        self._keep(connection)

    def _keep(self, connection: apsw.Connection) -> None:
        """Keep a connection for the next snapshot, unless there are enough."""
        if self._open and len(self._idle) < _IDLE_LIMIT:
            self._idle.append(connection)
        else:
            connection.close(True)

    @property
    def versions(self) -> list[int]:
        """The versions held now, ascending."""
        self._take_back()
        with self._guard:
            return sorted(self._live)

    def oldest(self) -> int | None:
        """The oldest version held now."""
        versions = self.versions
        return versions[0] if versions else None

    def drop_idle(self) -> None:
        """Close the connections nobody uses."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return
            connection.close(True)

    def close(self) -> None:
        """End every snapshot, used or not."""
        self._take_back()
        with self._guard:
            self._open = False
            snapshots = list(self._live.values())
            self._live.clear()
            self._newest = None
            for snapshot in snapshots:
                snapshot._users = 0
        for snapshot in snapshots:
            self._end(snapshot)
        self.drop_idle()

    def connections(self) -> list[apsw.Connection]:
        """Every connection, for the child of a fork, which must neither use nor close them."""
        used = [snapshot._connection for snapshot in self._live.values() if snapshot._connection is not None]
        return used + self._idle + self._lent

    def abandon(self) -> None:
        """After fork: make every snapshot unusable without touching a connection."""
        self._guard = threading.Lock()
        self._open = False
        for snapshot in self._live.values():
            snapshot._users = 0
            snapshot._connection = None
        self._live.clear()
        self._released.clear()
        self._idle.clear()
        self._lent.clear()
        self._newest = None
