"""The least a protocol machine needs behind it: a client's file and a server's Realm, in memory.

For tests of the wire alone, where nobody looks at objects. :class:`MemoryFile` stands for a client's history and
:class:`MemoryRealm` for a server's hub; both keep versions and cursors by the same rules as the real ones
(spec/merge.md §9, §10), so what they make the machines say is what the real ones would.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from syncline.changesets.changeset import (
    Changeset,
    DownloadChangeset,
    DownloadCursor,
    SaltedVersion,
    SyncProgress,
    UploadChangeset,
    UploadCursor,
)
from syncline.changesets.codec import decode, encode
from syncline.merge import WindowEntry, integrate
from syncline.protocol import (
    ClientFileIdent,
    DownloadBatch,
    DownloadReceived,
    Ident,
    IdentFacts,
    ServerSession,
    SessionConfig,
    UploadReceived,
    encode_download_entries,
)

__all__ = ["NO_IDENT", "MemoryFile", "MemoryRealm", "QueuedUpload", "RealmEntry"]


#: A file that the server does not know yet.
NO_IDENT: Final = ClientFileIdent()


class MemoryFile:
    """A client's history: numbered versions, some with a changeset to upload (spec/merge.md §9.1, §9.2).

    ``received`` collects what was downloaded, in order.
    """

    def __init__(self, path: str, file_ident: ClientFileIdent = NO_IDENT) -> None:
        self.path = path
        self.file_ident = file_ident
        self.progress = SyncProgress()
        self.version = 1
        self.entries: list[UploadChangeset] = []
        self.received: list[DownloadChangeset] = []
        self._bases = [(1, 0)]  # (version, server version integrated there), ascending

    def config(self) -> SessionConfig:
        """What a session of this file starts from."""
        return SessionConfig(self.path, self.file_ident, self.progress, self.version)

    def commit(self, changeset: bytes, timestamp: int = 0) -> int:
        """A transaction of the application; the version it makes."""
        self._new_version()
        base = self.progress.download.server_version
        self.entries.append(UploadChangeset(self.version, base, timestamp, 0, changeset))
        return self.version

    def store_ident(self, file_ident: ClientFileIdent) -> int:
        """The server's answer to BIND; the version it makes."""
        self.file_ident = file_ident
        return self._new_version()

    def integrate(self, download: DownloadReceived) -> int:
        """Everything of one DOWNLOAD in one transaction; the version it makes."""
        self.received += download.entries
        self.progress = download.progress
        return self._new_version()

    def uploadable(
        self, cursor: UploadCursor, up_to: int, limit: int = 131_072
    ) -> tuple[list[UploadChangeset], UploadCursor]:
        """Changesets after ``cursor``, until ``limit`` bytes are reached, and the cursor after the scan."""
        found: list[UploadChangeset] = []
        size = 0
        for entry in self.entries:
            if cursor.client_version < entry.client_version <= up_to and size < limit:
                found.append(entry)
                size += len(entry.changeset)
        end = up_to if size < limit else found[-1].client_version
        base = max(server_version for version, server_version in self._bases if version <= end)
        return found, UploadCursor(end, base)

    def _new_version(self) -> int:
        self.version += 1
        self._bases.append((self.version, self.progress.download.server_version))
        return self.version


class RealmEntry(NamedTuple):
    """One version of a Realm's log (spec/merge.md §10.1)."""

    origin_file_ident: int
    client_version: int
    origin_timestamp: int
    changeset: bytes
    salt: int


class QueuedUpload(NamedTuple):
    """An UPLOAD that waits for its integration."""

    session: ServerSession
    file_ident: int
    upload: UploadReceived


class _ClientFile:
    """What the server keeps of one client file (spec/merge.md §10.2)."""

    def __init__(self, salt: int) -> None:
        self.salt = salt
        self.upload = UploadCursor()
        self.locked_version = 0
        self.reciprocals: dict[int, bytes] = {}


class MemoryRealm:
    """A server's Realm: the log, the client files, the uploads that wait.

    Args:
        salts: gives the salt of a new version, by its number.
        merges: transform uploads against the log as the server does; without, changesets may be any bytes.
    """

    def __init__(self, salts: Callable[[int], int], *, merges: bool = False) -> None:
        self.log: list[RealmEntry] = []
        self.queue: deque[QueuedUpload] = deque()
        self._salts = salts
        self._merges = merges
        self._files: dict[int, _ClientFile] = {}

    @property
    def version(self) -> int:
        """The newest server version."""
        return len(self.log)

    def allocate(self, salt: int) -> ClientFileIdent:
        """A new client file, numbered from 2."""
        ident = len(self._files) + 2
        self._files[ident] = _ClientFile(salt)
        return ClientFileIdent(ident, salt)

    def upload_cursor(self, file_ident: int) -> UploadCursor:
        """How far a client's history is integrated."""
        return self._files[file_ident].upload

    def set_back(self, version: int) -> None:
        """Lose everything after ``version``, as after the restoration of an old backup."""
        del self.log[version:]

    def facts(self, request: Ident) -> IdentFacts:
        """What the checks of IDENT need."""
        latest = request.latest_server_version.version
        file = self._files.get(request.file_ident.ident)
        salt = self.log[latest - 1].salt if 1 <= latest <= self.version else 0
        if file is None:
            return IdentFacts(self.version, salt, file_exists=False)
        return IdentFacts(self.version, salt, True, file.salt, file.upload, file.locked_version)

    def enqueue(self, upload: UploadReceived) -> None:
        """An UPLOAD has arrived."""
        self.queue.append(QueuedUpload(upload.session, upload.session.file_ident, upload))

    def integrate_next(self) -> None:
        """Integrate the oldest UPLOAD (spec/merge.md §10.5)."""
        _, ident, upload = self.queue.popleft()
        file = self._files[ident]
        # The stored cursor is tested again: an upload of another session may have been quicker.
        entries = [entry for entry in upload.entries if entry.client_version > file.upload.client_version]
        for entry, changeset in zip(entries, self._transformed(ident, entries), strict=True):
            salt = self._salts(self.version + 1)
            self.log.append(RealmEntry(ident, entry.client_version, entry.origin_timestamp, changeset, salt))
        if upload.progress.client_version > file.upload.client_version:
            file.upload = upload.progress
        file.locked_version = max(file.locked_version, upload.locked_server_version)

    def _transformed(self, ident: int, entries: Sequence[UploadChangeset]) -> list[bytes]:
        if not self._merges:
            return [entry.changeset for entry in entries]
        incoming: list[Changeset] = []
        for entry in entries:
            changeset = decode(entry.changeset)
            changeset.version = entry.client_version
            changeset.last_integrated_remote_version = entry.last_integrated_server_version
            changeset.origin_timestamp = entry.origin_timestamp
            changeset.origin_file_ident = ident
            incoming.append(changeset)
        integrate(_ClientView(self, ident), 1, self.version, incoming, _accept)
        return [encode(changeset) if changeset.instructions else b"" for changeset in incoming]

    def download(
        self, file_ident: int, cursor: DownloadCursor, limit: int = 16 << 20, up_to: int | None = None
    ) -> DownloadBatch:
        """The next DOWNLOAD of a client file (spec/merge.md §10.6).

        Args:
            limit: changeset bytes after which it ends.
            up_to: the newest version to tell of; without, the newest there is.
        """
        end = self.version if up_to is None else min(up_to, self.version)
        entries: list[DownloadChangeset] = []
        version, base = cursor
        size = 0
        while version < end and size <= limit:
            version += 1
            entry = self.log[version - 1]
            if entry.origin_file_ident == file_ident:
                base = entry.client_version
            elif entry.changeset:
                length = len(entry.changeset)
                size += length
                entries.append(
                    DownloadChangeset(
                        version, base, entry.origin_timestamp, entry.origin_file_ident, length, entry.changeset
                    )
                )
        return DownloadBatch(
            cursor=DownloadCursor(version, base),
            latest=SaltedVersion(end, self.log[end - 1].salt) if end else SaltedVersion(),
            upload=self._files[file_ident].upload,
            downloadable_bytes=sum(len(entry.changeset) for entry in self.log[version:]),
            body=encode_download_entries(entries),
        )


class _ClientView:
    """A Realm's log towards one client file: a :class:`syncline.merge.History`."""

    def __init__(self, realm: MemoryRealm, ident: int) -> None:
        self._log = realm.log
        self._ident = ident
        self._reciprocals = realm._files[ident].reciprocals

    def window(self, after: int, up_to: int) -> Iterable[WindowEntry]:
        found: list[WindowEntry] = []
        for version in range(after + 1, up_to + 1):
            entry = self._log[version - 1]
            if entry.origin_file_ident == self._ident or not entry.changeset:
                continue
            reciprocal = self._reciprocals.get(version)
            changeset = entry.changeset if reciprocal is None else reciprocal
            found.append(
                WindowEntry(version, entry.origin_timestamp, entry.origin_file_ident, changeset, reciprocal is not None)
            )
        return found

    def set_reciprocals(self, reciprocals: Sequence[tuple[int, bytes]]) -> None:
        self._reciprocals.update(reciprocals)


def _accept(changeset: Changeset) -> bool:
    return True
