"""ClientHistory: what a client file remembers for sync, and how downloads enter it (spec/merge.md §9).

::

    local commit      writer           one entry in rlm_history: the encoded changeset, its base
    UPLOAD            uploadable()     entries after the upload cursor, as they were recorded
    DOWNLOAD          integrate()      decode · merge with own entries newer than its base (their reciprocals change,
                                       never the entries) · apply · progress · trim · one entry · commit

Rests on RealmFile (transactions), ``merge.integration`` (the reciprocal step) and ``changesets.codec``. Cost follows
what there is to do: nothing reads the whole history but the first ident.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import apsw

from syncline.changesets.arrival import Arrivals, decode_arrival
from syncline.changesets.changeset import (
    Changeset,
    DownloadChangeset,
    SaltedVersion,
    SyncProgress,
    UploadChangeset,
    UploadCursor,
)
from syncline.changesets.codec import decode, encode
from syncline.errors import MismatchedConfigError, ProtocolViolationError
from syncline.merge import integration
from syncline.merge.observer import MergeObserver
from syncline.merge.resets import without_resets
from syncline.storage import kept_changes, sync_state, system
from syncline.storage.global_keys import complete_instructions, complete_rows
from syncline.storage.sync_state import SyncCounters, SyncState, progress_values
from syncline.storage.writer import RemoteOrigin

if TYPE_CHECKING:
    from syncline.storage.file import RealmFile
    from syncline.storage.transaction import WriteTransaction

__all__ = ["ClientHistory", "HistoryStatus", "LocalChange", "SyncCounters"]

#: Soft and hard limit of one UPLOAD in bytes of changesets (spec/merge.md §9.2).
UPLOAD_LIMIT: Final = 131_072
UPLOAD_HARD_LIMIT: Final = 16_777_216

_LOCAL_CHANGES: Final = (
    "SELECT version, remote_version, timestamp, changeset, reciprocal FROM rlm_history"
    " WHERE version > ? AND origin = 0 AND size > 0 ORDER BY version"
)

_IDENT_MAX: Final = (1 << 63) - 1

#: Key in ``rlm_sync``: see :attr:`ClientHistory.realm`.
_REALM: Final = "sync.realm"


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
    """The sync history of a file opened with ``history=True``. Every method may be called on any thread.

    Methods ending in ``_in`` work in a transaction of the caller, who commits it, or rolls it back when they raise.
    """

    def __init__(
        self, file: RealmFile, observer: MergeObserver | None = None, keep_bytes: int = kept_changes.KEEP_BYTES
    ) -> None:
        """``observer`` is told every rule that decided something in a merge.

        ``keep_bytes``: how much is kept of what met what in merges, for explanations (``kept_changes``); 0: nothing.
        Raises MismatchedConfigError.
        """
        if not file.keeps_history:
            raise MismatchedConfigError(f"{file.path} was created without sync history and cannot be synced")
        self._file = file
        self._observer = observer
        self._keep_bytes = keep_bytes

    # --- looking ------------------------------------------------------------------------------------------------------

    def status(self) -> HistoryStatus:
        """Version, ident, progress and counters, consistent with each other."""
        rows = self._file.query("SELECT k, v FROM rlm_sync UNION ALL SELECT 0, max(version) FROM rlm_commit")
        values = dict(rows)
        state = SyncState(values)
        return HistoryStatus(
            values[0],
            state[sync_state.HISTORY_BASE],
            state[sync_state.FILE_IDENT],
            state[sync_state.FILE_SALT],
            state.progress,
            state.counters,
        )

    def uploadable(
        self, cursor: UploadCursor, limit: int = UPLOAD_LIMIT, hard_limit: int = UPLOAD_HARD_LIMIT
    ) -> tuple[list[UploadChangeset], UploadCursor]:
        """Own changesets after ``cursor`` and the cursor after them (spec/merge.md §9.2).

        Stops once ``limit`` bytes are reached, and before an entry that would reach ``hard_limit`` unless it is the
        first. Entries without anything to upload move the cursor too; an unmoved cursor means nothing is left.
        """
        found: list[UploadChangeset] = []
        total = 0
        version, base = cursor
        with self._file.looking() as connection, closing(connection.cursor()) as rows:
            rows.execute(
                "SELECT version, size, remote_version, origin, timestamp, changeset FROM rlm_history"
                " WHERE version > ? ORDER BY version",
                (cursor.client_version,),
            )
            for row_version, size, remote_version, origin, timestamp, changeset in rows:
                if origin == 0 and size > 0:
                    if total >= limit or (found and total + size >= hard_limit):
                        break
                    found.append(UploadChangeset(row_version, remote_version, timestamp, 0, changeset))
                    total += size
                version, base = row_version, remote_version
        return found, UploadCursor(version, base)

    def local_changes(self, after: int | None = None) -> list[LocalChange]:
        """Own changes newer than ``after``; None: newer than what the server acknowledged (spec/sessions.md §12.10)."""
        if after is None:
            after = self.status().progress.upload.client_version
        return _local_changes(self._file.query(_LOCAL_CHANGES, (after,)))

    def local_changes_in(self, tx: WriteTransaction) -> list[LocalChange]:
        """The same as the transaction sees it: own changes that the server has not acknowledged."""
        after = self._file.writer.state.progress.upload.client_version
        return _local_changes(tx.connection.execute(_LOCAL_CHANGES, (after,)))

    # --- identity -----------------------------------------------------------------------------------------------------

    @property
    def realm(self) -> str | None:
        """Of which Realm of the server the file is, as BIND names it; None if that was never noted."""
        realm = self.value(_REALM)
        return realm if isinstance(realm, str) else None

    def set_file_ident(self, ident: int, salt: int, realm: str | None = None) -> int:
        """Store the identity the server gave, in a transaction of its own; returns the newest version.

        ``realm``: in which Realm, see :attr:`realm`; None leaves what is noted.

        A first ident completes GlobalKeys: own recorded changesets and rows with hi = 0 get it
        (spec/changesets.md §8.2). A later ident changes neither. Raises ProtocolViolationError for an impossible one.
        """
        with self._file.write() as tx:
            self.set_file_ident_in(tx, ident, salt, realm)
            version = self._file.commit(tx)
        return tx.version if version is None else version

    def set_file_ident_in(self, tx: WriteTransaction, ident: int, salt: int, realm: str | None = None) -> None:
        """The same inside a transaction of the caller."""
        if not 0 < ident <= _IDENT_MAX:
            raise ProtocolViolationError(f"the server gave the client file ident {ident}, which is out of range")
        state = self._file.writer.state
        if state[sync_state.FILE_IDENT] == 0:
            tx.flush()
            complete_rows(tx.connection, tx.catalogue, ident)
            self._complete_history(tx.connection, state, ident)
        state.change(tx.connection, {sync_state.FILE_IDENT: ident, sync_state.FILE_SALT: salt})
        if realm is not None:
            self.set_value_in(tx, _REALM, realm)
        tx.file_ident = ident

    def _complete_history(self, connection: apsw.Connection, state: SyncState, ident: int) -> None:
        """Give the own changesets recorded so far the ident they could not know; one at a time, to bound memory."""
        grown = 0
        versions = connection.execute("SELECT version FROM rlm_history WHERE origin = 0 AND size > 0").fetchall()
        for (version,) in versions:
            recorded: bytes = connection.execute("SELECT changeset FROM rlm_history WHERE version = ?", (version,)).get
            changeset = decode(recorded)
            if complete_instructions(changeset.instructions, ident):
                encoded = encode(changeset)
                grown += len(encoded) - len(recorded)
                connection.execute(
                    "UPDATE rlm_history SET changeset = ?, size = ? WHERE version = ?", (encoded, len(encoded), version)
                )
        self._file.writer.own_changes.clear()
        state.change(connection, {sync_state.UPLOADABLE: state[sync_state.UPLOADABLE] + grown})

    # --- integrating --------------------------------------------------------------------------------------------------

    def integrate(
        self, progress: SyncProgress, entries: Sequence[DownloadChangeset], downloadable_bytes: int
    ) -> int | None:
        """Take in one DOWNLOAD, in one transaction (spec/merge.md §9.3); the new version, None if nothing changed.

        Raises BadChangesetError (TransformError) for entries that cannot be decoded, merged or applied, and
        ProtocolViolationError for progress that decreases, idents that cannot be and bases out of range. Nothing is
        kept.
        """
        changesets = self.decode(entries)
        originals = [entry.changeset for entry in entries]
        with Arrivals(changesets, originals), self._file.write() as tx:
            self.integrate_in(
                tx,
                changesets,
                downloaded_bytes=sum(entry.original_size for entry in entries),
                progress=progress,
                downloadable_bytes=downloadable_bytes,
                originals=originals,
            )
            return self._file.commit(tx)

    @staticmethod
    def decode(entries: Sequence[DownloadChangeset]) -> list[Changeset]:
        """Decode and number the entries of a DOWNLOAD; needs no lock. Raises BadChangesetError."""
        changesets: list[Changeset] = []
        for sequence, entry in enumerate(entries):
            changeset = decode_arrival(
                entry.changeset,
                version=entry.server_version,
                base=entry.last_integrated_client_version,
                timestamp=entry.origin_timestamp,
                origin_file_ident=entry.origin_file_ident,
            )
            changeset.sequence = sequence
            changesets.append(changeset)
        return changesets

    def integrate_in(
        self,
        tx: WriteTransaction,
        changesets: list[Changeset],
        *,
        downloaded_bytes: int,
        progress: SyncProgress | None,
        downloadable_bytes: int | None,
        originals: Sequence[bytes] = (),
    ) -> None:
        """Merge and apply ``changesets``, which change in place: bootstraps in slices, with what goes with them.

        ``progress`` None leaves the cursors (all but the last slice of a bootstrap). ``originals``: the changesets as
        they arrived; without them nothing is kept for explanations. Raises as :meth:`integrate`.
        """
        writer = self._file.writer
        state = writer.state
        if changesets:
            ident = state[sync_state.FILE_IDENT]
            self._check_entries(changesets, ident, tx.version)
            base = state[sync_state.HISTORY_BASE]
            for changeset in changesets:
                changeset.last_integrated_remote_version = max(changeset.last_integrated_remote_version, base)
            transformed: list[Changeset] = []
            window = kept_changes.WatchedWindow(writer.own_changes)
            apply = _collect(transformed)
            integration.integrate(window, ident, tx.version, changesets, apply, self._observer, tx.catalogue)
            tx.apply_all(transformed)
            if originals and self._keep_bytes and (window.is_rewritten or any(cs.dirty for cs in changesets)):
                downloaded = list(zip(changesets, originals, strict=True))
                kept_changes.keep(tx.connection, tx.version + 1, window.entries, downloaded, self._keep_bytes)
            last = changesets[-1]
            writer.integrated(RemoteOrigin(last.version, last.origin_file_ident, last.origin_timestamp))
            state.change(tx.connection, {sync_state.DOWNLOADED: state[sync_state.DOWNLOADED] + downloaded_bytes})
        if progress is not None:
            self.set_progress_in(tx, progress)
        if downloadable_bytes is not None:
            state.change(tx.connection, {sync_state.REMAINING: downloadable_bytes})

    @staticmethod
    def _check_entries(changesets: list[Changeset], ident: int, current_version: int) -> None:
        """What the merge relies on; the protocol machine checked most of it (spec/wire-protocol.md §6.3)."""
        previous = 1
        for changeset in changesets:
            if changeset.origin_file_ident <= 0 or changeset.origin_file_ident == ident:
                raise ProtocolViolationError(
                    f"server version {changeset.version} has origin {changeset.origin_file_ident}: a download never"
                    " contains the receiver's own changes"
                )
            if changeset.version < previous:
                raise ProtocolViolationError(f"server version {changeset.version} came after {previous}")
            previous = changeset.version
            if not 0 <= changeset.last_integrated_remote_version <= current_version:
                raise ProtocolViolationError(
                    f"server version {changeset.version} is based on client version"
                    f" {changeset.last_integrated_remote_version}, but the newest here is {current_version}"
                )

    # --- progress -----------------------------------------------------------------------------------------------------

    def set_progress_in(self, tx: WriteTransaction, progress: SyncProgress) -> None:
        """Store ``progress`` and trim the history (spec/merge.md §9.5, §9.6). Raises ProtocolViolationError."""
        connection = tx.connection
        state = self._file.writer.state
        old = state.progress
        if progress.upload.last_integrated_server_version == 0:
            progress = progress._replace(
                upload=UploadCursor(progress.upload.client_version, old.upload.last_integrated_server_version)
            )
        _check_progress(old, progress, tx.version)
        changes = progress_values(progress)
        if progress.upload.client_version > old.upload.client_version:
            uploaded = connection.execute(
                "SELECT ifnull(sum(size), 0) FROM rlm_history WHERE origin = 0 AND version > ? AND version <= ?",
                (old.upload.client_version, progress.upload.client_version),
            ).get
            changes[sync_state.UPLOADED] = state[sync_state.UPLOADED] + uploaded
        if state.change(connection, changes):
            self._trim(connection, state, progress.download.last_integrated_client_version, tx.version)

    def _trim(self, connection: apsw.Connection, state: SyncState, integrated: int, current_version: int) -> None:
        """Drop what no merge can need: up to ``integrated``, and from there on what has nothing to upload."""
        needed = connection.execute(
            "SELECT min(version) FROM rlm_history WHERE version > ? AND origin = 0 AND size > 0", (integrated,)
        ).get
        base = current_version if needed is None else needed - 1
        if base > state[sync_state.HISTORY_BASE]:
            connection.execute("DELETE FROM rlm_history WHERE version <= ?", (base,))
            self._file.writer.own_changes.drop(base)
            state.change(connection, {sync_state.HISTORY_BASE: base})

    # --- client reset -------------------------------------------------------------------------------------------------

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

        ``recovered``: version → new changeset (possibly zero bytes); without any, the whole history goes.
        """
        connection = tx.connection
        state = self._file.writer.state
        if state[sync_state.FILE_IDENT] == 0:
            tx.flush()
            complete_rows(connection, tx.catalogue, ident)
        self._file.writer.own_changes.clear()
        kept_changes.clear(connection)
        base = min(recovered) - 1 if recovered else tx.version
        connection.execute("DELETE FROM rlm_history WHERE version <= ?", (base,))
        connection.execute("UPDATE rlm_history SET remote_version = ?", (server_version.version,))
        connection.executemany(
            "UPDATE rlm_history SET changeset = ?, size = ?, reciprocal = NULL WHERE version = ?",
            [(changeset, len(changeset), version) for version, changeset in recovered.items()],
        )
        state.change(
            connection,
            {
                sync_state.FILE_IDENT: ident,
                sync_state.FILE_SALT: salt,
                sync_state.HISTORY_BASE: base,
                sync_state.LATEST_VERSION: server_version.version,
                sync_state.LATEST_SALT: server_version.salt,
                sync_state.DOWNLOAD_SERVER: server_version.version,
                sync_state.DOWNLOAD_CLIENT: 0,
                sync_state.UPLOAD_CLIENT: 0,
                sync_state.UPLOAD_SERVER: server_version.version,
                sync_state.UPLOADED: 0,
                sync_state.UPLOADABLE: sum(map(len, recovered.values())),
                sync_state.DOWNLOADED: 0,
                sync_state.REMAINING: 0,
            },
        )
        tx.file_ident = ident

    # --- values -------------------------------------------------------------------------------------------------------

    def value(self, key: str) -> system.SystemValue:
        """A value stored for sync under ``key`` (``rlm_sync``), or None. Own keys contain a dot: ``reset.mode``."""
        with self._file.looking() as connection:
            return system.sync_value(connection, key)

    @staticmethod
    def set_value_in(tx: WriteTransaction, key: str, value: system.SystemValue) -> None:
        """Store a value for sync in the transaction; None removes it. ``key`` must contain a dot. Raises ValueError."""
        if "." not in key:
            raise ValueError(f"{key!r} is a key of the history itself; choose one with a dot")
        system.set_sync_value(tx.connection, key, value)


class _collect:
    """Takes the transformed changesets in order, to be applied together."""

    def __init__(self, into: list[Changeset]) -> None:
        self._into = into

    def __call__(self, changeset: Changeset) -> bool:
        self._into.append(changeset)
        return True


def _local_changes(rows: Iterable[tuple[Any, ...]]) -> list[LocalChange]:
    return [
        LocalChange(version, base, time, made, made if reciprocal is None else without_resets(reciprocal))
        for version, base, time, made, reciprocal in rows
    ]


def _check_progress(old: SyncProgress, new: SyncProgress, current_version: int) -> None:
    """None of the cursors may go back, and none may be ahead of what there is (spec/merge.md §9.5)."""
    if (
        new.latest_server_version.version < old.latest_server_version.version
        or new.download.server_version < old.download.server_version
        or new.download.last_integrated_client_version < old.download.last_integrated_client_version
        or new.upload.client_version < old.upload.client_version
        or new.upload.last_integrated_server_version < old.upload.last_integrated_server_version
    ):
        raise ProtocolViolationError(f"bad progress: {new} goes back behind {old}")
    if max(new.upload.client_version, new.download.last_integrated_client_version) > current_version:
        raise ProtocolViolationError(f"bad progress: {new} names client versions beyond {current_version}")
