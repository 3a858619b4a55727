"""What met what when downloads were merged: a bounded memory in the client's file, for explanations.

A client keeps nothing of what it downloads but its effect, and of its own changes only what the server has not taken in
yet. So where a download and own changes met (the merge changed one of them), ``rlm_kept`` keeps both as they were made:
an own change under its version, a downloaded one under the version that it became part of. The oldest go first when
there are too many. Whoever wants to know why a value is what it is merges them again (``merge/story.py``). Nothing is
written where nothing met.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import apsw

from syncline.changesets.changeset import Changeset
from syncline.changesets.codec import decode
from syncline.merge.footprint import Footprint
from syncline.merge.integration import History, WindowEntry
from syncline.storage import system

__all__ = ["KEEP_BYTES", "KeptChange", "WatchedWindow", "clear", "forgotten_until", "keep", "kept_changes"]

#: How much is kept by default, in bytes.
KEEP_BYTES: Final = 1024 * 1024

#: What a row takes besides its changeset.
_ROW_BYTES: Final = 100

#: Keys in ``rlm_sync``: bytes kept, and the newest version of which something was forgotten.
_SIZE: Final = "kept.bytes"
_FORGOTTEN: Final = "kept.forgotten_until"

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS rlm_kept(
  version INT, seq INT, remote_version INT, base INT, origin INT, timestamp INT, changeset BLOB,
  PRIMARY KEY(version, seq))
"""
_EXISTS: Final = "SELECT 1 FROM sqlite_schema WHERE name = 'rlm_kept'"


class KeptChange(NamedTuple):
    """A change that met another. ``origin`` 0: an own one; then ``remote_version`` and ``base`` mean nothing.

    ``version`` is the file's; ``remote_version`` the server's, ``base`` the newest own version that the server had
    taken in when it sent the change.
    """

    version: int
    remote_version: int
    base: int
    origin: int
    timestamp: int
    changeset: bytes


class WatchedWindow:
    """The own changes as a merge sees them; notes which of them it looked at, and whether it rewrote any."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.entries: list[WindowEntry] = []
        self.is_rewritten = False

    def window(self, after: int, up_to: int) -> Iterable[WindowEntry]:
        """See :class:`syncline.merge.integration.History`."""
        entries = list(self._history.window(after, up_to))
        self.entries += entries
        return entries

    def set_reciprocals(self, reciprocals: Sequence[tuple[int, bytes]]) -> None:
        """See :class:`syncline.merge.integration.History`."""
        self.is_rewritten = True
        self._history.set_reciprocals(reciprocals)


def keep(
    connection: apsw.Connection,
    version: int,
    own: Sequence[WindowEntry],
    downloaded: Sequence[tuple[Changeset, bytes]],
    limit: int,
) -> None:
    """Keep what met, in the open write transaction that makes ``version``.

    ``own`` is what the merge looked at. ``downloaded`` are the merged changesets, of which only what goes with them is
    used, each with its bytes as they arrived. ``limit``: bytes that may be kept in all.
    """
    arrived = [decode(data) for _, data in downloaded]
    theirs = Footprint.of(arrived)
    met = [entry for entry in own if entry.changeset and _footprint(entry).may_meet(theirs)]
    ours = Footprint.of([decode(entry.changeset) for entry in met])
    connection.execute(_TABLE)
    connection.executemany(
        "INSERT OR IGNORE INTO rlm_kept SELECT version, 0, 0, 0, 0, timestamp, changeset FROM rlm_history"
        " WHERE version = ?",
        [(entry.version,) for entry in met],
    )
    rows = []
    for (changeset, data), original in zip(downloaded, arrived, strict=True):
        if Footprint.of([original]).may_meet(ours):
            base, origin = changeset.last_integrated_remote_version, changeset.origin_file_ident
            rows.append((changeset.version, base, origin, changeset.origin_timestamp, data))
    first: int = connection.execute("SELECT ifnull(max(seq), 0) + 1 FROM rlm_kept WHERE version = ?", (version,)).get
    connection.executemany(
        "INSERT INTO rlm_kept VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(version, seq, *row) for seq, row in enumerate(rows, first)],
    )
    added = sum(len(entry.changeset) for entry in met) + sum(len(row[-1]) for row in rows)
    _count(connection, added + _ROW_BYTES * (len(met) + len(rows)), limit)


def _footprint(entry: WindowEntry) -> Footprint:
    return entry.footprint or Footprint.of([decode(entry.changeset)])


def _count(connection: apsw.Connection, added: int, limit: int) -> None:
    """Add to what is kept; if it is more than ``limit``, forget the oldest down to three quarters of it."""
    known = system.sync_value(connection, _SIZE)
    size = added + (known if isinstance(known, int) else 0)
    if size > limit:
        size = _forget(connection, limit * 3 // 4)
    system.set_sync_value(connection, _SIZE, size)


def _forget(connection: apsw.Connection, limit: int) -> int:
    """Drop the oldest versions until ``limit`` bytes are left at most; how many are."""
    size = 0
    versions: list[Any] = connection.execute(
        "SELECT version, sum(length(changeset) + ?) FROM rlm_kept GROUP BY version ORDER BY version DESC", (_ROW_BYTES,)
    ).fetchall()
    for version, length in versions:
        if size + length > limit:
            connection.execute("DELETE FROM rlm_kept WHERE version <= ?", (version,))
            system.set_sync_value(connection, _FORGOTTEN, version)
            break
        size += length
    return size


def clear(connection: apsw.Connection) -> None:
    """Forget everything, in the open write transaction: a client reset gives the versions another meaning."""
    connection.execute("DROP TABLE IF EXISTS rlm_kept")
    for key in (_SIZE, _FORGOTTEN):
        system.set_sync_value(connection, key, None)


def forgotten_until(connection: apsw.Connection) -> int:
    """The newest version of which something was forgotten for want of space; 0: nothing was."""
    version = system.sync_value(connection, _FORGOTTEN)
    return version if isinstance(version, int) else 0


def kept_changes(connection: apsw.Connection, name: str) -> list[KeptChange]:
    """What was kept, and the own changes that the history still has, where a changeset has the class ``name`` in it.

    Ascending by version, and in the order in which they were merged.
    """
    sql = (
        "SELECT version, 0 AS seq, 0, 0, 0, timestamp, changeset FROM rlm_history"
        " WHERE origin = 0 AND size > 0 AND instr(changeset, ?1) > 0"
    )
    if connection.execute(_EXISTS).fetchone() is not None:
        sql += (
            " UNION SELECT version, seq, remote_version, base, origin, timestamp, changeset FROM rlm_kept"
            " WHERE instr(changeset, ?1) > 0"
        )
    rows = connection.execute(sql + " ORDER BY version, seq", (name.encode("utf-8", "surrogateescape"),))
    return [KeptChange(row[0], *row[2:]) for row in rows]
