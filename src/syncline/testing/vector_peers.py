"""Real peers for replaying vectors: a server's log and state, and client files, driven by hand (no network).

What a client commits, uploads and receives goes through the real storage, the real reciprocal step of both sides and
the server's own integration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeAlias

from syncline.changesets.changeset import DownloadChangeset, SyncProgress, UploadChangeset, UploadCursor
from syncline.errors import BadChangesetError, RealmError
from syncline.merge.observer import MergeObserver
from syncline.server.downloads import scan
from syncline.server.integrator import UploadPart, integrate_alone
from syncline.server.permissions import Level
from syncline.server.sqlite_log import SqliteLogStore
from syncline.storage.dump import dump
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
from syncline.testing.operations import OperationError, execute, execute_all
from syncline.testing.vector_files import Mismatch

__all__ = ["Client", "Server"]

Json: TypeAlias = Any

#: More than any vector holds: a replay takes everything there is in one DOWNLOAD.
_NO_LIMIT: Final = 1 << 40


class Server:
    """A server's log and state, driven by hand."""

    def __init__(self, path: Path, idents: Mapping[str, int], base: Sequence[Mapping[str, Json]]) -> None:
        """``base``: the fixture's changesets, taken from a client file of their own."""
        self._store = SqliteLogStore.open(path)
        with self._store.group() as group:
            ident = 0
            while ident <= max(idents.values()):
                ident = group.new_client_file("vectors", "", False).ident
        for number, form in enumerate(base, 1):
            data = bytes.fromhex(form["changeset"])
            self.take(ident, UploadChangeset(number, 0, form["origin_timestamp"], 0, data))

    def take(self, ident: int, entry: UploadChangeset) -> None:
        """Integrate one uploaded changeset. Raises BadChangesetError if the server refuses it."""
        progress = UploadCursor(entry.client_version, entry.last_integrated_server_version)
        part = UploadPart(ident, [entry], progress, 0, lambda: Level.ADMIN, "admin")
        refusal = integrate_alone(self._store, part).refusal
        if refusal is not None and "could not be integrated (" in refusal.message:  # an exception nobody foresaw
            raise Mismatch("the server's answer to an upload", "taken, or refused for a reason", refusal.message)
        if refusal is not None:
            raise BadChangesetError(f"the server refused an upload: {refusal.message}")

    def since(
        self, ident: int, progress: SyncProgress, up_to: int | None = None
    ) -> tuple[list[DownloadChangeset], SyncProgress]:
        """What a client file that stands at ``progress`` is sent, and where it stands then."""
        head = self._store.status().head
        start = progress.download
        after = min(head.version, up_to) if up_to is not None else head.version
        with closing(self._store.entries(start.server_version, after, ident)) as entries:
            found = scan(entries, start, ident, _NO_LIMIT)
        file = self._store.client_file(ident)
        upload = file.upload if file is not None else progress.upload
        return found.entries, SyncProgress(head, found.cursor, upload)

    @property
    def version(self) -> int:
        """The newest version."""
        return self._store.status().head.version

    def close(self) -> None:
        """Give the file back."""
        self._store.close()


class Client:
    """A client file with its history, and what it exchanged."""

    def __init__(self, ident: int, observer: MergeObserver | None = None) -> None:
        """``observer`` is told what its merges decide."""
        self.ident = ident
        self._file = RealmFile.in_memory()
        self._history = ClientHistory(self._file, observer)
        self._history.set_file_ident(ident, 1)
        self._cursor = UploadCursor()
        self._waiting: list[UploadChangeset] = []
        #: what was uploaded and received so far
        self.uploaded: list[UploadChangeset] = []
        self.received: list[DownloadChangeset] = []

    def commit(self, timestamp: int, operations: Sequence[Mapping[str, Json]], leave_out_errors: bool) -> None:
        """One transaction, without the operations that fail if those are to be left out."""
        with self._file.write(origin_timestamp=timestamp) as tx:
            if not leave_out_errors:
                execute_all(tx, operations)
                return
            for operation in operations:
                try:
                    with tx.savepoint():
                        execute(tx, operation)
                except (RealmError, OperationError, LookupError):
                    continue

    def has_upload(self) -> bool:
        """Is anything waiting to be uploaded?"""
        if not self._waiting:
            self._waiting, self._cursor = self._history.uploadable(self._cursor)
        return bool(self._waiting)

    def upload(self, server: Server) -> None:
        """Send the next changeset."""
        if self.has_upload():
            entry = self._waiting.pop(0)
            self.uploaded.append(entry)
            server.take(self.ident, entry)

    def download(self, server: Server, up_to: int | None = None) -> None:
        """Integrate what the server has, up to a version."""
        entries, progress = server.since(self.ident, self._history.status().progress, up_to)
        if progress.download.server_version > self._history.status().progress.download.server_version or not entries:
            self._history.integrate(progress, entries, 0)
            self.received += entries

    def state(self) -> dict[str, Json]:
        """The dump of the newest version."""
        with self._file.snapshot() as snapshot, snapshot.lock:
            return dump(snapshot.reader)

    def close(self) -> None:
        """Remove the file."""
        self._file.close()
