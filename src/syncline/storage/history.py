"""ClientHistory: what a client file remembers for sync, and how downloads enter it (spec/merge.md §9).

Rests on RealmFile (transactions), ``merge.integration`` (the reciprocal step) and ``changesets.codec``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from syncline.changesets.changeset import (
    Changeset,
    DownloadChangeset,
    SaltedVersion,
    SyncProgress,
    UploadChangeset,
    UploadCursor,
)

if TYPE_CHECKING:
    from syncline.storage.file import RealmFile
    from syncline.storage.transaction import WriteTransaction

__all__ = ["ClientHistory", "HistoryStatus", "LocalChange", "SyncCounters"]


class SyncCounters(NamedTuple):
    """Bytes for progress notifications (spec/sessions.md §9.2); ``remaining`` is what the server said is still to come."""

    uploaded: int = 0
    uploadable: int = 0
    downloaded: int = 0
    remaining: int = 0

    @property
    def downloadable(self) -> int:
        """Downloaded plus remaining."""
        return self.downloaded + self.remaining


class HistoryStatus(NamedTuple):
    """Where a client file stands. ``file_ident`` 0: none yet. Entries exist for base_version < v <= current_version."""

    current_version: int
    base_version: int
    file_ident: int
    file_salt: int
    progress: SyncProgress
    counters: SyncCounters


class LocalChange(NamedTuple):
    """An own change: as uploaded, and as it looks after the downloads merged since (empty: nothing is left of it)."""

    version: int
    last_integrated_server_version: int
    origin_timestamp: int
    changeset: bytes
    transformed: bytes


class ClientHistory:
    """The sync history of a file opened with ``history=True``. Every method may be called on any thread."""

    def __init__(self, file: RealmFile) -> None: ...

    def status(self) -> HistoryStatus:
        """Version, ident, progress and counters, consistent with each other."""
        ...

    def set_file_ident(self, ident: int, salt: int) -> int:
        """Store the identity the server gave, in a transaction of its own; returns the new version.

        A first ident completes GlobalKeys: own recorded changesets and rows with hi = 0 get it (spec/changesets.md §8.2).
        A later ident changes neither. Raises BadChangesetError for an ident out of range.
        """
        ...

    def uploadable(
        self, cursor: UploadCursor, limit: int = 131_072, hard_limit: int = 16_777_216
    ) -> tuple[list[UploadChangeset], UploadCursor]:
        """Own changesets after ``cursor`` and the cursor after them (spec/merge.md §9.2).

        Stops once ``limit`` bytes are reached, and before an entry that would reach ``hard_limit`` unless it is the
        first. Entries without anything to upload move the cursor too; an unmoved cursor means nothing is left.
        """
        ...

    def integrate(
        self, progress: SyncProgress, entries: Sequence[DownloadChangeset], downloadable_bytes: int
    ) -> int | None:
        """Take in one DOWNLOAD, in one transaction (spec/merge.md §9.3); returns the new version, None if nothing changed.

        Raises BadChangesetError (TransformError) for entries that cannot be decoded, merged or applied, and
        ProtocolViolationError for progress that decreases, idents that cannot be and bases out of range. Nothing is kept.
        """
        ...

    @staticmethod
    def decode(entries: Sequence[DownloadChangeset]) -> list[Changeset]:
        """Decode and number the entries of a DOWNLOAD; needs no lock. Raises BadChangesetError."""
        ...

    def integrate_in(
        self,
        tx: WriteTransaction,
        changesets: list[Changeset],
        *,
        downloaded_bytes: int,
        progress: SyncProgress | None,
        downloadable_bytes: int | None,
    ) -> None:
        """The same inside a transaction of the caller, who commits: bootstraps in slices, with what goes with them.

        ``progress`` None leaves the cursors (all but the last slice). On an error the caller rolls back everything.
        """
        ...

    def set_progress_in(self, tx: WriteTransaction, progress: SyncProgress, downloadable_bytes: int | None) -> None:
        """Store ``progress`` and trim the history (spec/merge.md §9.5, §9.6). Raises ProtocolViolationError."""
        ...

    def local_changes(self, after: int | None = None) -> list[LocalChange]:
        """Own changes newer than ``after``; None: newer than what the server acknowledged (spec/sessions.md §12.10)."""
        ...

    def rewrite_in(
        self,
        tx: WriteTransaction,
        *,
        ident: int,
        salt: int,
        server_version: SaltedVersion,
        recovered: Mapping[int, bytes],
    ) -> None:
        """The history adjustment of a client reset (spec/sessions.md §12.4 step 9).

        ``recovered``: version -> new changeset, empty when nothing was recovered.
        """
        ...

    def value(self, key: str) -> object:
        """A value stored for sync under ``key`` (``rlm_sync``), or None."""
        ...

    @staticmethod
    def set_value_in(tx: WriteTransaction, key: str, value: int | str | bytes | None) -> None:
        """Store a value for sync in the transaction; None removes it."""
        ...
