"""A server and its client files with one common state, in which a history is tried and undone again.

Everything is real (``storage/history.py``; ``server/`` ``integrator.py``, ``sqlite_log.py``, ``downloads.py``), but the
messages between them are handed over as they are, and the files are in memory (``nested.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final, TypeAlias

from syncline.changesets.changeset import (
    DownloadChangeset,
    SaltedVersion,
    SyncProgress,
    UploadChangeset,
    UploadCursor,
)
from syncline.changesets.codec import encode
from syncline.merge.observer import MergeObserver
from syncline.server.downloads import Tail, scan
from syncline.server.integrator import Integrated, UploadPart, integrate_alone
from syncline.server.permissions import Level
from syncline.server.sqlite_log import SqliteLogStore
from syncline.storage.catalogue import Catalogue
from syncline.storage.history import ClientHistory
from syncline.testing.exhaustive.nested import NestedFile
from syncline.testing.operations import execute_all

__all__ = ["LETTERS", "Peer", "RefusedError", "Server", "World"]

Operation: TypeAlias = "Mapping[str, Any]"

#: Idents of the peers: 2, 3, 4 are those that edit, the next one made the common state.
FIRST_IDENT: Final = 2
#: Their names.
LETTERS: Final = "ABC"
_NO_LIMIT: Final = 1 << 40


class RefusedError(Exception):
    """The server refused an upload; the message is what the client would be told."""


class Server:
    """A server's log and state."""

    def __init__(self, observer: MergeObserver | None = None) -> None:
        self.file = NestedFile(history=False)
        self._store = SqliteLogStore.over(self.file)
        self._observer = observer
        self._tail = Tail(_NO_LIMIT)
        #: what was applied in this trial, in order
        self.applied: list[tuple[bytes, ...]] = []
        self._head = SaltedVersion()
        self._uploads: dict[int, UploadCursor] = {}

    def register(self) -> int:
        """A new client file; its ident."""
        with self._store.group() as group:
            return group.new_client_file("peer", "", False).ident

    def take(self, ident: int, entries: Sequence[UploadChangeset], progress: UploadCursor) -> Integrated:
        """Integrate an UPLOAD. Raises RefusedError."""
        result = integrate_alone(self._store, UploadPart(ident, entries, progress, 0, _admin, "admin", self._observer))
        if result.refusal is not None:
            raise RefusedError(result.refusal.message)
        self._note(result)
        self._tail.extend(result.entries)
        self.applied.append(tuple(entry.changeset for entry in result.entries))
        return result

    def since(self, ident: int, progress: SyncProgress) -> tuple[list[DownloadChangeset], SyncProgress]:
        """The DOWNLOAD for a client file that stands at ``progress``, and where it stands then."""
        entries = self._tail.stretch(progress.download.server_version, _NO_LIMIT) or []
        found = scan(entries, progress.download, ident, _NO_LIMIT)
        return found.entries, SyncProgress(self._head, found.cursor, self._uploads.get(ident, progress.upload))

    def _note(self, result: Integrated) -> None:
        """Remember where things stand, as the server's hub does."""
        assert result.file is not None
        self._uploads[result.file.ident] = result.file.upload
        if result.entries:
            newest = result.entries[-1]
            self._head = SaltedVersion(newest.version, newest.salt)

    @property
    def version(self) -> int:
        """The newest version."""
        return self._head.version

    @contextmanager
    def trial(self) -> Iterator[None]:
        """See :meth:`NestedFile.trial`."""
        head, uploads = self._head, dict(self._uploads)
        try:
            with self.file.trial():
                self._tail = Tail(_NO_LIMIT)
                self.applied = []
                yield
        finally:
            self._head, self._uploads = head, uploads


class Peer:
    """A client file with its history."""

    def __init__(self, ident: int, observer: MergeObserver | None) -> None:
        self.ident = ident
        self.file = NestedFile(history=True)
        self.history = ClientHistory(self.file, observer)
        self.history.set_file_ident(ident, 1)
        #: the schema after the last own commit
        self.catalogue = Catalogue([], 0)
        #: what was received and applied in this trial, in order
        self.applied: list[tuple[bytes, ...]] = []
        self.forget()

    def forget(self) -> None:
        """Start at what is stored, as after a restart."""
        status = self.history.status()
        self.progress = status.progress
        self._cursor = status.progress.upload

    def commit(self, operations: Sequence[Operation], timestamp: int) -> None:
        """One transaction. Raises what executing the operations raises."""
        with self.file.write(origin_timestamp=timestamp) as tx:
            execute_all(tx, operations)
            self.catalogue = tx.catalogue

    def local_changes(self) -> list[UploadChangeset]:
        """What there is to upload."""
        return self.history.uploadable(self._cursor)[0]

    def upload(self, server: Server, count: int | None = None) -> tuple[list[UploadChangeset], UploadCursor]:
        """Send the next ``count`` changesets, all there are if None; what was sent. Raises RefusedError."""
        entries, cursor = self.history.uploadable(self._cursor)
        if count is not None and count < len(entries):
            entries = entries[:count]
            cursor = UploadCursor(entries[-1].client_version, entries[-1].last_integrated_server_version)
        if entries:
            server.take(self.ident, entries, cursor)
        self._cursor = cursor
        return entries, cursor

    def download(self, server: Server) -> tuple[list[DownloadChangeset], SyncProgress]:
        """Integrate what the server has; what was received. Raises BadChangesetError."""
        entries, progress = server.since(self.ident, self.progress)
        if progress != self.progress:
            changesets = self.history.decode(entries)
            with self.file.write() as tx:
                self.history.integrate_in(tx, changesets, downloaded_bytes=0, progress=progress, downloadable_bytes=0)
            self.applied.append(tuple(encode(changeset) for changeset in changesets))
            self.progress = progress
        return entries, progress


class World:
    """A server, ``peers`` client files, and a common state made by one more."""

    def __init__(self, schema: Sequence[Mapping[str, Any]], objects: Sequence[Operation], peers: int) -> None:
        #: the rules that fired in this trial, where and why
        self.rules: list[str] = []
        self.server = Server(Observer(self.rules, "the server"))
        idents = [self.server.register() for _ in range(peers + 1)]
        self.peers = [
            Peer(ident, Observer(self.rules, f"peer {letter}"))
            for ident, letter in zip(idents, (*LETTERS[:peers], "author"), strict=True)
        ]
        author = self.peers.pop()
        author.commit([{"op": "schema", "classes": schema}], 1)
        author.commit(objects, 2)
        author.upload(self.server)
        for peer in self.peers:
            peer.download(self.server)
        author.file.close()

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Everything that happens until the end of the block is undone there."""
        with ExitStack() as stack:
            stack.enter_context(self.server.trial())
            for peer in self.peers:
                stack.enter_context(peer.file.trial())
                peer.applied = []
                peer.forget()
            self.rules.clear()
            yield

    def close(self) -> None:
        """Give the memory back."""
        for peer in self.peers:
            peer.file.close()
        self.server.file.close()


class Observer:
    """Remembers the rules that fire at one participant."""

    def __init__(self, rules: list[str], name: str) -> None:
        self._rules = rules
        self._name = name

    def rule_fired(self, rule: str, reason: str, *rest: object) -> None:
        """See :class:`MergeObserver`."""
        self._rules.append(f"{rule}, at {self._name}: {reason}")


def _admin() -> Level:
    return Level.ADMIN
