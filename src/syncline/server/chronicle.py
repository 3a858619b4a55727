"""Looking into a server's data folder from outside, for explanations: Realms, authors, the log of one object.

Read-only, and beside a running server or without one. Rests on the directory (``directory.sqlite``), the logs and the
uploads kept beside them (``server/originals.py``).
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw

from syncline.changesets.changeset import Changeset
from syncline.changesets.codec import decode
from syncline.changesets.instructions import (
    ERASE_COLUMN,
    ERASE_TABLE,
    AddColumn,
    ArrayInsert,
    SetErase,
    SetInsert,
    Update,
)
from syncline.errors import FileError
from syncline.merge.story import Entry, concerning
from syncline.server.access import DEVELOPER
from syncline.server.originals import KEPT_FROM
from syncline.server.realm_keys import IllegalRealmPathError, realm_key
from syncline.storage.connection import connect, translating
from syncline.storage.global_keys import complete_instructions
from syncline.storage.system import meta_value
from syncline.values import Key, Link

__all__ = ["DirectoryView", "LogHistory", "RealmPlace", "authors", "log_history", "looking_into"]

_ANONYMOUS: Final = "anon-user"
#: So many Realms are named in an error.
_NAMED: Final = 5

_LOG: Final = "SELECT version, origin, client_version, timestamp, changeset, NULL, NULL FROM rlm_log"
_LOG_WITH_ORIGINALS: Final = (
    "SELECT l.version, l.origin, l.client_version, l.timestamp, l.changeset, o.base, o.changeset"
    " FROM rlm_log l LEFT JOIN rlm_original o ON o.version = l.version"
)


class RealmPlace(NamedTuple):
    """A Realm of a server: its app, its key (``p:/a/b`` or a partition value), its file."""

    app_id: str
    key: str
    path: Path


class LogHistory(NamedTuple):
    """The entries of a log that concern an object.

    ``head`` is the newest version. ``kept_from`` is the version from which on nothing is missing of what met something;
    None: nothing is kept (setting ``keep_originals``).
    """

    entries: list[Entry]
    head: int
    kept_from: int | None


class DirectoryView:
    """The directory of one server's data folder."""

    def __init__(self, connection: apsw.Connection, folder: Path) -> None:
        self._connection = connection
        self._folder = folder

    def find(self, text: str, app_id: str | None = None, user_id: str | None = None) -> RealmPlace:
        """The Realm of that path or partition value; ``user_id`` stands for ``~``.

        Raises:
            FileError: there is none, or several apps have one and ``app_id`` does not say which.
        """
        if text.removeprefix("/").split("/")[0] == "~" and user_id is None:
            raise FileError(f"{text} is in the home folder of a user: say whose with --user, or write the id for ~")
        try:
            key = realm_key(text, user_id or DEVELOPER.user_id)
        except IllegalRealmPathError as error:
            raise FileError(f"{text!r} names no Realm: {error}") from error
        places = [place for place in self.realms() if place.key == key and app_id in (None, place.app_id)]
        if not places:
            raise FileError(f"there is no Realm {text} in {self._folder}{self._similar(key, app_id)}")
        if len(places) > 1:
            apps = ", ".join(place.app_id for place in places)
            raise FileError(f"several apps have a Realm {text}: say which with --app ({apps})")
        return places[0]

    def realms(self) -> list[RealmPlace]:
        """All Realms, by app and key."""
        rows: list[Any] = self._connection.execute(
            "SELECT app, key, storage_id, uuid FROM realm JOIN app ON app.id = realm.app ORDER BY app, key"
        ).fetchall()
        realms = self._folder / "realms"
        return [RealmPlace(app, key, realms / uuid / name[:2] / f"{name}.realm") for app, key, name, uuid in rows]

    def _similar(self, key: str, app_id: str | None) -> str:
        known = sorted({place.key for place in self.realms() if app_id in (None, place.app_id)})
        if not known:
            return "; there is none at all"
        names = difflib.get_close_matches(key, known, _NAMED, 0.5) or known[:_NAMED]
        return "; there are, for example: " + ", ".join(name.removeprefix("p:") for name in names)

    def user_name(self, user_id: str) -> str:
        """Who a user is, as a person would say it."""
        if user_id == DEVELOPER.user_id:
            return "the development user"
        rows: list[Any] = self._connection.execute(
            "SELECT provider, name FROM identity WHERE user = ? ORDER BY provider = ?, rowid", (user_id, _ANONYMOUS)
        ).fetchall()
        if not rows:
            return f"user {user_id}"
        provider, name = rows[0]
        return f"anonymous user {user_id}" if provider == _ANONYMOUS else f"user {name}"


@contextmanager
def looking_into(folder: Path) -> Iterator[DirectoryView]:
    """The directory of a data folder.

    Raises:
        FileError: it is not a server's data folder, or cannot be read.
    """
    path = folder / "directory.sqlite"
    if not path.is_file():
        raise FileError(f"{folder} is not the data folder of a server: it has no directory.sqlite")
    with translating(str(path)):
        idle = not os.path.exists(f"{path}-wal")
        connection = connect(str(path), None, writable=False, immutable=idle)
        try:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            yield DirectoryView(connection, folder)
        finally:
            connection.close(True)


def authors(connection: apsw.Connection, view: DirectoryView) -> Mapping[int, str]:
    """Who made the changes of a Realm, by client file ident."""
    rows: list[Any] = connection.execute("SELECT ident, user FROM rlm_client_file").fetchall()
    names = {user: view.user_name(user) for user in {row[1] for row in rows}}
    return {ident: f"{names[user]} (client file {ident})" for ident, user in rows}


def log_history(connection: apsw.Connection, table: str, key: Key) -> LogHistory:
    """What the log has about an object, as of one moment.

    ``connection`` is in a read transaction on the Realm's file. Raises FileError if it is no server's.
    """
    if not _has_table(connection, "rlm_log"):
        raise FileError("this file has no server log")
    found: dict[int, Entry] = {}
    linked: set[str] = set()
    for entry in _entries(connection, [table]):
        reduced = _reduced(entry, table, key)
        if reduced is not None:
            found[entry.version] = reduced
            linked |= _linked_classes(reduced.made)
    # where a class is erased that the object links to
    for entry in _entries(connection, sorted(linked - {table})):
        if entry.version not in found and _erases(entry.made):
            reduced = _reduced(entry, table, key)
            if reduced is not None:
                found[entry.version] = reduced
    head: int = connection.execute("SELECT ifnull(max(version), 0) FROM rlm_log").get
    kept_from = meta_value(connection, KEPT_FROM)
    return LogHistory(
        [found[version] for version in sorted(found)], head, kept_from if isinstance(kept_from, int) else None
    )


def _has_table(connection: apsw.Connection, name: str) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (name,)).fetchone() is not None


def _entries(connection: apsw.Connection, names: Iterable[str]) -> Iterator[Entry]:
    """The entries of the log that have one of the class names in them, each as its author made it and as it is."""
    has_originals = _has_table(connection, "rlm_original")
    for name in names:
        sql, where = (_LOG_WITH_ORIGINALS, "l.changeset") if has_originals else (_LOG, "changeset")
        sql += f" WHERE instr({where}, ?1) > 0" + (" OR instr(o.changeset, ?1) > 0" if has_originals else "")
        order = " ORDER BY l.version" if has_originals else " ORDER BY version"
        for row in connection.execute(sql + order, (name.encode("utf-8", "surrogateescape"),)):
            yield _entry(row)


def _entry(row: tuple[Any, ...]) -> Entry:
    version, origin, client_version, timestamp, data, base, original = row
    logged = _decoded(data, version, origin, timestamp)
    made = logged
    if original is not None:
        made = _decoded(original, version, origin, timestamp)
        complete_instructions(made.instructions, origin)
    return Entry(version, origin, -1 if base is None else base, made, logged, client_version)


def _decoded(data: bytes, version: int, origin: int, timestamp: int) -> Changeset:
    changeset = decode(data) if data else Changeset([], [])
    changeset.version = version
    changeset.origin_file_ident = origin
    changeset.origin_timestamp = timestamp
    return changeset


def _reduced(entry: Entry, table: str, key: Key) -> Entry | None:
    made = concerning(entry.made, table, key)
    logged = made if entry.logged is entry.made or entry.logged is None else concerning(entry.logged, table, key)
    if made is None and logged is None:
        return None
    return Entry(
        entry.version,
        entry.source,
        entry.base,
        made or _nothing_of(entry.made),
        logged or _nothing_of(entry.made),
        entry.remote_version,
    )


def _nothing_of(changeset: Changeset) -> Changeset:
    return Changeset(
        [],
        [],
        changeset.version,
        origin_timestamp=changeset.origin_timestamp,
        origin_file_ident=changeset.origin_file_ident,
    )


def _linked_classes(changeset: Changeset) -> set[str]:
    """The classes that values and properties in it link to."""
    names: set[str] = set()
    for instruction in changeset.instructions:
        if isinstance(instruction, AddColumn):
            names.add(instruction.link_target)
        elif isinstance(instruction, Update | ArrayInsert | SetInsert | SetErase) and isinstance(
            instruction.value, Link
        ):
            names.add(instruction.value.table)
    return names - {""}


def _erases(changeset: Changeset) -> bool:
    return any(instruction.opcode in (ERASE_TABLE, ERASE_COLUMN) for instruction in changeset.instructions)
