"""The open Realm files: few at a time, opened at first use, the one that was not used for longest closed first."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from syncline.errors import SynclineError
from syncline.server.log_store import LogStore
from syncline.server.realm_directory import RealmRecord

__all__ = ["StorePool"]

_log = logging.getLogger("syncline.server")


class _Place:
    """A store that is open, being opened, or in use by ``users`` threads."""

    def __init__(self) -> None:
        self.opening = threading.Lock()
        self.store: LogStore | None = None
        self.users = 0


class StorePool:
    """Log stores by storage id. Every method blocks; call it on a worker thread.

    ``limit`` bounds the files kept open; more are open only while more are in use at the same moment, which the number
    of worker threads bounds.
    """

    def __init__(self, open_store: Callable[[RealmRecord], LogStore], limit: int) -> None:
        self._open_store = open_store
        self._limit = limit
        self._lock = threading.Lock()
        self._places: OrderedDict[str, _Place] = OrderedDict()
        self._closed = False

    @contextmanager
    def use(self, realm: RealmRecord) -> Iterator[LogStore]:
        """The Realm's store, kept open at least as long as the block runs.

        Raises:
            FileError: the file cannot be opened.
        """
        with self._lock:
            if self._closed:
                raise SynclineError("the server is shutting down")
            place = self._places.setdefault(realm.storage_id, _Place())
            place.users += 1
            self._places.move_to_end(realm.storage_id)
        try:
            with place.opening:
                if place.store is None:
                    place.store = self._open_store(realm)
            yield place.store
        finally:
            with self._lock:
                place.users -= 1
                surplus = self._take_surplus()
            for store in surplus:
                store.close()

    def _take_surplus(self) -> list[LogStore]:
        taken = []
        for name in list(self._places):
            if len(self._places) <= self._limit and not self._closed:
                break
            place = self._places[name]
            if place.users == 0:
                del self._places[name]
                if place.store is not None:
                    taken.append(place.store)
        return taken

    @property
    def open_files(self) -> int:
        with self._lock:
            return len(self._places)

    def close(self) -> None:
        """Close every store; those in use follow when their users are done."""
        with self._lock:
            self._closed = True
            surplus = self._take_surplus()
        for store in surplus:
            store.close()
        _log.debug("closed %d Realm files", len(surplus))
