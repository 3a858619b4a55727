"""A server and clients in memory, as spec/merge.md §8 to §10 describes them: everything but storage and messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tests.merge.model import State

from syncline.changesets.changeset import (
    Changeset,
    DownloadChangeset,
    DownloadCursor,
    UploadChangeset,
    UploadCursor,
)
from syncline.changesets.codec import decode, encode
from syncline.changesets.instructions import Instruction
from syncline.merge import WindowEntry, integrate

_SERVER_IDENT = 1


class Entry(NamedTuple):
    """One history entry of either peer. ``other_version``: of the client (server's log), of the server (client's)."""

    origin: int
    other_version: int
    timestamp: int
    changeset: bytes


class History:
    """A linear history with the reciprocals towards one peer; ``first`` is the version of the first entry."""

    def __init__(self, entries: list[Entry], first: int, received_from: int | None) -> None:
        self.entries = entries
        self.first = first
        self.received_from = received_from
        self.reciprocals: dict[int, bytes] = {}
        self.windows: list[tuple[int, int]] = []

    def is_own(self, entry: Entry) -> bool:
        return entry.origin == 0 if self.received_from is None else entry.origin != self.received_from

    def window(self, after: int, up_to: int) -> list[WindowEntry]:
        self.windows.append((after, up_to))
        found = []
        for version, entry in enumerate(self.entries, self.first):
            if after < version <= up_to and self.is_own(entry) and entry.changeset:
                reciprocal = self.reciprocals.get(version)
                form = entry.changeset if reciprocal is None else reciprocal
                found.append(WindowEntry(version, entry.timestamp, entry.origin, form, reciprocal is not None))
        return found

    def set_reciprocals(self, reciprocals: Sequence[tuple[int, bytes]]) -> None:
        self.reciprocals.update(reciprocals)


class ClientFile:
    """What the server knows of one client."""

    def __init__(self, ident: int, log: list[Entry]) -> None:
        self.history = History(log, 1, ident)
        self.client_version = 0
        self.base = 0


class Server:
    """The log of one Realm, with its state if ``state`` is given."""

    def __init__(self, state: State | None = None) -> None:
        self.state = state
        self.log: list[Entry] = []
        self.files: dict[int, ClientFile] = {}

    @property
    def version(self) -> int:
        return len(self.log)

    def file(self, ident: int) -> ClientFile:
        if ident not in self.files:
            self.files[ident] = ClientFile(ident, self.log)
        return self.files[ident]

    def integrate(self, ident: int, upload: list[UploadChangeset], progress: UploadCursor) -> None:
        """Take in an UPLOAD (spec/merge.md §10.5)."""
        file = self.file(ident)
        fresh = [entry for entry in upload if entry.client_version > file.client_version]
        incoming = []
        for entry in fresh:
            changeset = decode(entry.changeset)
            changeset.version = entry.client_version
            changeset.last_integrated_remote_version = entry.last_integrated_server_version
            changeset.origin_timestamp = entry.origin_timestamp
            changeset.origin_file_ident = entry.origin_file_ident or ident
            incoming.append(changeset)
        integrate(file.history, _SERVER_IDENT, self.version, incoming, self._apply)
        for changeset in incoming:
            origin, stamp = changeset.origin_file_ident, changeset.origin_timestamp
            self.log.append(Entry(origin, changeset.version, stamp, encode(changeset)))
        if progress.client_version > file.client_version:
            file.client_version = progress.client_version
            file.base = max(file.base, progress.last_integrated_server_version)
            kept = {version: form for version, form in file.history.reciprocals.items() if version > file.base}
            file.history.reciprocals = kept

    def _apply(self, changeset: Changeset) -> bool:
        if self.state is not None:
            self.state = self.state.apply([changeset])
        return True

    def scan(
        self, ident: int, cursor: DownloadCursor, count: int = 1 << 30
    ) -> tuple[list[DownloadChangeset], DownloadCursor]:
        """At most ``count`` changesets for a client, and the cursor after them (spec/merge.md §10.6)."""
        found: list[DownloadChangeset] = []
        version, client_version = cursor
        while version < self.version and len(found) < count:
            version += 1
            entry = self.log[version - 1]
            if entry.origin == ident:
                client_version = entry.other_version
            elif entry.changeset:
                size = len(entry.changeset)
                found.append(
                    DownloadChangeset(version, client_version, entry.timestamp, entry.origin, size, entry.changeset)
                )
        return found, DownloadCursor(version, client_version)


class Client:
    """A client file: state, history from version 2 on, cursors (spec/merge.md §9)."""

    def __init__(self, ident: int) -> None:
        self.ident = ident
        self.state = State()
        self.history = History([], 2, None)
        self.download = DownloadCursor()
        self.upload = UploadCursor()
        self.applied: list[Changeset] = []

    @property
    def version(self) -> int:
        return 1 + len(self.history.entries)

    def commit(self, timestamp: int, instructions: list[Instruction]) -> None:
        """Record a local transaction and apply it."""
        changeset = Changeset(instructions, [])
        data = encode(changeset)
        self.state = self.state.apply([changeset])
        self.history.entries.append(Entry(0, self.download.server_version, timestamp, data))

    def uploadable(self) -> tuple[list[UploadChangeset], UploadCursor]:
        """Own changesets after the upload cursor, in their original form (spec/merge.md §9.2)."""
        found = []
        cursor = self.upload
        for version, entry in enumerate(self.history.entries, self.history.first):
            if version > self.upload.client_version:
                cursor = UploadCursor(version, entry.other_version)
                if entry.origin == 0 and entry.changeset:
                    found.append(UploadChangeset(version, entry.other_version, entry.timestamp, 0, entry.changeset))
        return found, cursor

    def integrate(self, entries: list[DownloadChangeset], cursor: DownloadCursor) -> None:
        """Take in a DOWNLOAD in one transaction (spec/merge.md §9.3)."""
        incoming = []
        for entry in entries:
            changeset = decode(entry.changeset)
            changeset.version = entry.server_version
            changeset.last_integrated_remote_version = max(entry.last_integrated_client_version, 1)
            changeset.origin_timestamp = entry.origin_timestamp
            changeset.origin_file_ident = entry.origin_file_ident
            incoming.append(changeset)
        self.applied = []
        integrate(self.history, self.ident, self.version, incoming, self._apply)
        self.download = cursor
        origin = entries[-1].origin_file_ident if entries else 0
        self.history.entries.append(Entry(origin, cursor.server_version, 0, b""))

    def _apply(self, changeset: Changeset) -> bool:
        self.state = self.state.apply([changeset])
        self.applied.append(changeset)
        return True

    def send(self, server: Server, count: int = 1 << 30) -> None:
        """Upload at most ``count`` changesets."""
        found, cursor = self.uploadable()
        if len(found) > count:
            found = found[:count]
            cursor = UploadCursor(found[-1].client_version, found[-1].last_integrated_server_version)
        server.integrate(self.ident, found, cursor)
        self.upload = cursor

    def receive(self, server: Server, count: int = 1 << 30) -> list[DownloadChangeset]:
        """Download at most ``count`` changesets, and return them as sent."""
        found, cursor = server.scan(self.ident, self.download, count)
        self.integrate(found, cursor)
        return found
