"""Snapshots: readers that stay at one version while writers go on (spec/sdk.md §13.8).

A snapshot is a connection with an open read transaction. It is counted, shared by everyone in the process who reads the
same version, and goes back to a pool with its last user. Rests on :class:`~syncline.storage.reader.Reader`.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syncline.storage.catalogue import Catalogue
    from syncline.storage.reader import Reader

__all__ = ["Snapshot"]


class Snapshot:
    """One version of a file, readable until :meth:`release`. Made by :meth:`RealmFile.snapshot`.

    Hold :attr:`lock` around every use of :attr:`reader` (and of anything lazily read from it): the same snapshot may
    serve several threads, and a connection serves one at a time::

        with file.snapshot() as snapshot, snapshot.lock:
            name = snapshot.reader.get(...)
    """

    version: int
    reader: Reader
    lock: threading.RLock

    @property
    def catalogue(self) -> Catalogue:
        """The classes and properties of this version."""
        ...

    def acquire(self) -> Snapshot:
        """The same snapshot with one more user; each user releases once."""
        ...

    def release(self) -> None:
        """Give one use back. The last one frees the version. Raises TransactionError when released too often."""
        ...

    def __enter__(self) -> Snapshot: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
