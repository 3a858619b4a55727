"""Where ``syncline why`` takes a history from: a client's Realm file, or the data folder of a server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from syncline.changesets.codec import decode
from syncline.errors import FileError
from syncline.merge.story import Entry, concerning
from syncline.storage import kept_changes, sync_state
from syncline.storage.file import RealmFile
from syncline.storage.reader import Reader
from syncline.storage.sync_state import SyncState
from syncline.values import Key

__all__ = ["Past", "Source", "open_client", "open_server"]

#: Whom a client's downloads come from: no client file has this ident.
_SERVER: Final = 0


class Past(NamedTuple):
    """What a source knows of an object; ``notes`` say what it cannot know, and where to ask."""

    entries: list[Entry]
    notes: list[str]


class Source(ABC):
    """A history that can be asked. ``reader`` reads one version of the file it belongs to."""

    #: what its versions count: those of a client's file, or of a server's log
    counts = "version"
    #: who the authors are, by client file ident
    names: Mapping[int, str] = {}

    def __init__(self, reader: Reader, title: str) -> None:
        self.reader = reader
        self.title = title

    @abstractmethod
    def version(self) -> int:
        """The newest version, as :attr:`counts` says."""

    @abstractmethod
    def past(self, table: str, key: Key) -> Past:
        """What is known of an object."""


class ClientSource(Source):
    """The file of a client: its own changes, and what met what when downloads were merged."""

    def __init__(self, reader: Reader, title: str, keeps_history: bool) -> None:
        super().__init__(reader, title)
        self._keeps_history = keeps_history
        self._state = SyncState.load(reader.connection)
        self._ident = self._state[sync_state.FILE_IDENT]
        self.names = {self._ident: "this file"}

    def version(self) -> int:
        return self.reader.version

    def past(self, table: str, key: Key) -> Past:
        if not self._keeps_history:
            return Past([], ["This file is not synced: it keeps no history."])
        connection = self.reader.connection
        entries = []
        for kept in kept_changes.kept_changes(connection, table):
            entry = self._entry(kept, table, key)
            if entry is not None:
                entries.append(entry)
        notes = [
            "This file knows only its own changes that the server has not taken in yet, and what met what when"
            " downloads were merged. What others changed otherwise, the server knows:"
            " syncline why --data FOLDER REALM …"
        ]
        forgotten = kept_changes.forgotten_until(connection)
        if forgotten:
            notes.append(f"What met up to version {forgotten} was forgotten (setting kept_conflict_bytes).")
        return Past(entries, notes)

    def _entry(self, kept: kept_changes.KeptChange, table: str, key: Key) -> Entry | None:
        is_own = kept.origin == 0
        changeset = decode(kept.changeset)
        changeset.version = kept.version
        changeset.origin_file_ident = self._ident if is_own else kept.origin
        changeset.origin_timestamp = kept.timestamp
        made = concerning(changeset, table, key)
        if made is None:
            return None
        if is_own:
            return Entry(kept.version, self._ident or -1, -1, made, None)
        return Entry(kept.version, _SERVER, kept.base, made, None, kept.remote_version)


class ServerSource(Source):
    """A Realm of a server: the whole log, and what was uploaded where merging changed it."""

    counts = "server version"

    def __init__(self, reader: Reader, title: str, names: Mapping[int, str]) -> None:
        super().__init__(reader, title)
        self.names = names

    def version(self) -> int:
        newest: int = self.reader.connection.execute("SELECT ifnull(max(version), 0) FROM rlm_log").get
        return newest

    def past(self, table: str, key: Key) -> Past:
        from syncline.server.chronicle import log_history

        history = log_history(self.reader.connection, table, key)
        notes = []
        if history.kept_from is None:
            notes.append("This server does not keep what merging changed (setting keep_originals): it cannot say why.")
        elif history.kept_from > 1 and history.head > 0:
            notes.append(f"Before server version {history.kept_from} it was not kept what merging changed.")
        return Past(history.entries, notes)


@contextmanager
def open_client(path: Path, encryption_key: bytes | None) -> Iterator[Source]:
    """The Realm file at ``path``, read-only; a server's own file is one, too.

    Raises FileError (missing, no Realm file, encrypted), ConfigurationError (the key's length).
    """
    with ExitStack() as stack:
        file = RealmFile.open(path, encryption_key=encryption_key, read_only=True, create=False)
        stack.callback(file.close)
        reader = stack.enter_context(file.reading_alone())
        is_log = reader.connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'rlm_log'").fetchone()
        if is_log is not None:
            yield ServerSource(reader, path.name, {})
        else:
            yield ClientSource(reader, path.name, file.keeps_history)


@contextmanager
def open_server(folder: Path, realm: str, app_id: str | None, user_id: str | None) -> Iterator[Source]:
    """A Realm in a server's data folder, read-only; the server may run meanwhile.

    Raises FileError: no data folder, no such Realm.
    """
    from syncline.server.chronicle import authors, looking_into

    with ExitStack() as stack:
        view = stack.enter_context(looking_into(folder))
        place = view.find(realm, app_id, user_id)
        if not place.path.exists():
            raise FileError(f"the Realm {realm} is empty: nothing was ever uploaded to it")
        file = RealmFile.open(place.path, read_only=True, create=False)
        stack.callback(file.close)
        reader = stack.enter_context(file.reading_alone())
        yield ServerSource(reader, place.key.removeprefix("p:"), authors(reader.connection, view))
