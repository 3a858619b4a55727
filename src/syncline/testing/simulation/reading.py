"""Looking into a file without a connection of its own: opening one more would cost more than all that is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from syncline.storage import catalogue
from syncline.storage.catalogue import Catalogue
from syncline.storage.file import RealmFile
from syncline.storage.reader import Reader

__all__ = ["Looker"]


class Looker:
    """Reads the newest version of one file after the other; nobody may write meanwhile."""

    def __init__(self) -> None:
        self._catalogue: Catalogue | None = None

    def forget(self) -> None:
        """Another file comes."""
        self._catalogue = None

    @contextmanager
    def reading(self, file: RealmFile) -> Iterator[Reader]:
        """A reader of the newest version."""
        version = file.version
        with file.looking() as connection:
            self._catalogue = catalogue.load(connection, self._catalogue)
            yield Reader(connection, self._catalogue, version)
