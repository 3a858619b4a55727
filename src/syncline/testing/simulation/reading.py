"""Looking into a file without a connection of its own: opening one more would cost more than all that is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from syncline.storage import catalogue
from syncline.storage.catalogue import Catalogue
from syncline.storage.file import RealmFile
from syncline.storage.reader import Reader

__all__ = ["Looker", "close_dead"]


def close_dead(file: RealmFile) -> None:
    """Close a file on a disk without power, without the work that would come to nothing."""
    if not file.is_closed:
        for connection in file.connections:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        file.close()


class Looker:
    """Reads the newest version of one file; nobody may write meanwhile."""

    def __init__(self) -> None:
        self._catalogue: Catalogue | None = None

    @contextmanager
    def reading(self, file: RealmFile) -> Iterator[Reader]:
        """A reader of the newest version."""
        version = file.version
        with file.looking() as connection:
            self._catalogue = catalogue.load(connection, self._catalogue)
            yield Reader(connection, self._catalogue, version)
