"""A counted use of an open Realm file (:class:`~syncline.storage.file.RealmFile`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncline.errors import ClosedRealmError

if TYPE_CHECKING:
    from syncline.storage.file import RealmFile

__all__ = ["FileLease"]


class FileLease:
    """A counted reference that can be given back once only, however often it is closed."""

    def __init__(self, file: RealmFile) -> None:
        """Take over the caller's reference."""
        self._file: RealmFile | None = file

    @property
    def file(self) -> RealmFile:
        """The open file. Raises ClosedRealmError after :meth:`close`."""
        if self._file is None:
            raise ClosedRealmError("this use of the Realm has ended")
        return self._file

    def share(self) -> FileLease:
        """Another lease of the same file."""
        return FileLease(self.file.share())

    def close(self) -> None:
        """Give the reference back. Calling it again does nothing."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
