"""The log of one Realm: what the server promises to keep, behind a small interface (spec/merge.md §10.1, §10.2).

The log is the truth: entries with their versions and salts, client files with their cursors, reciprocals. The
materialised state beside it can be rebuilt from it. A *commit group* changes both together or not at all; when it has
ended, it is durable. Implementations: :class:`syncline.server.sqlite_log.SqliteLogStore` (log and state in one file).

Everything here blocks and is called on worker threads. One group at a time; readers do not wait for it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from typing import Final, NamedTuple, Protocol

from syncline.changesets.changeset import SaltedVersion, UploadCursor
from syncline.errors import FileError, WriteTimeoutError
from syncline.merge.footprint import Footprint
from syncline.merge.integration import History
from syncline.server.originals import Original
from syncline.storage.transaction import WriteTransaction

__all__ = ["STORAGE_FAILURES", "ClientFile", "LogEntry", "LogGroup", "LogStatus", "LogStore"]


#: What ends a whole commit group: nothing of it can be made durable, whoever it came from.
STORAGE_FAILURES: Final = (FileError, WriteTimeoutError)


class LogEntry(NamedTuple):
    """One integrated changeset, as it is sent to other clients.

    ``origin`` is the ident of the client file that made it; ``client_version`` its version there. ``total`` is the size
    in bytes of all changesets up to and including this one.
    """

    version: int
    salt: int
    origin: int
    client_version: int
    timestamp: int
    total: int
    changeset: bytes


class ClientFile(NamedTuple):
    """What the server knows of one client file. ``upload`` is the newest client version that is integrated or reported,
    with the server version the client had integrated there: the base of the file's reciprocals."""

    ident: int
    salt: int
    user_id: str
    is_subserver: bool = False
    upload: UploadCursor = UploadCursor()
    locked_version: int = 0
    is_expired: bool = False


class LogStatus(NamedTuple):
    """The newest version with its salt, and the size of all changesets."""

    head: SaltedVersion
    total: int


class LogGroup(Protocol):
    """An open commit group. ``state`` is the materialised state at the head, changed along with the log."""

    state: WriteTransaction

    @property
    def status(self) -> LogStatus:
        """Where the log ends, with what was appended."""

    def part(self) -> AbstractContextManager[None]:
        """What happens inside is undone alone if it raises: log, state and caches."""

    def client_file(self, ident: int) -> ClientFile | None:
        """The client file, as of now."""

    def new_client_file(self, user_id: str, login_session: str, is_subserver: bool) -> ClientFile:
        """A client file with a new ident (from 2 on, never used again) and a salt that cannot be guessed."""

    def set_progress(self, file: ClientFile, upload: UploadCursor, locked_version: int) -> ClientFile:
        """Move the file's cursor and drop the reciprocals it has passed; the file as it is then."""

    def append(
        self, origin: int, client_version: int, timestamp: int, changeset: bytes, footprint: Footprint | None
    ) -> LogEntry:
        """The next entry of the log. The footprint, if given, may be remembered for later merges."""

    def keep_originals(self, originals: Sequence[Original]) -> None:
        """Keep what was uploaded of entries just appended, if this log does (setting ``keep_originals``)."""

    def history(self, ident: int) -> History:
        """The log as the client file's uploads are merged with it."""


class LogStore(Protocol):
    """The log of one Realm."""

    def status(self) -> LogStatus:
        """Where the log ends."""

    def group(self) -> AbstractContextManager[LogGroup]:
        """A commit group: durable when the block ends, gone without a trace if it raises.

        Raises:
            FileError, WriteTimeoutError: it cannot be made durable (DiskFullError: no space).
        """

    def client_file(self, ident: int) -> ClientFile | None:
        """The client file, as of the last group."""

    def salt_of(self, version: int) -> int | None:
        """The salt stored with the version: 0 for version 0, None if there is no such version."""

    def entries(self, after: int, up_to: int, skip_origin: int) -> Generator[LogEntry, None, None]:
        """The entries with ``after`` < version <= ``up_to``, ascending; ``skip_origin``'s without changeset.

        The iterator holds on to a snapshot: exhaust it or close it.
        """

    def sizes_of(self, origin: int, after: int, up_to: int) -> list[tuple[int, int]]:
        """Versions and sizes of the entries of one client file, with ``after`` < version <= ``up_to``, ascending."""

    def content_hash(self) -> tuple[int, str]:
        """The version, and the content hash of the state at that version."""

    def close(self) -> None:
        """Give the file back."""
