"""The private tables that sync needs beside the classes, and single values about the file (spec/sdk.md §13.2, §13.12).

Nothing in them is visible as a class, and nothing that changes them is recorded; they change in the same transaction as
the data they describe. The tables of classes, properties and commits are made by ``catalogue``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import apsw

from syncline.storage import catalogue

__all__ = [
    "FIRST_VERSION",
    "SystemValue",
    "create_tables",
    "meta_value",
    "set_meta_value",
    "set_sync_value",
    "sync_value",
]

#: The version of an empty file (spec/merge.md §9.1).
FIRST_VERSION: Final = 1

#: What ``rlm_meta`` and ``rlm_sync`` hold under a key.
SystemValue: TypeAlias = "int | float | str | bytes | None"

# In rlm_history the small columns come before the blobs, so that looking at them never touches a blob's pages.
_TABLES: Final = """
CREATE TABLE rlm_history(
  version INTEGER PRIMARY KEY, size INT, remote_version INT, origin INT, timestamp INT,
  changeset BLOB, reciprocal BLOB);
CREATE TABLE rlm_sync(k TEXT PRIMARY KEY, v) WITHOUT ROWID;
CREATE TABLE rlm_subset(version INTEGER PRIMARY KEY, state INT, snapshot_version INT, error TEXT);
CREATE TABLE rlm_subscription(
  set_version INT, ord INT, id BLOB, created_at, updated_at, name TEXT, class TEXT, query TEXT,
  PRIMARY KEY(set_version, ord));
CREATE TABLE rlm_subscription_extra(
  id BLOB PRIMARY KEY, ttl_ms INT, expires_at, row_limit INT, inclusions TEXT);
CREATE TABLE rlm_bootstrap(
  query_version INT, seq INT, remote_version INT, client_version INT, origin INT, timestamp INT, original_size INT,
  data BLOB, PRIMARY KEY(query_version, seq));
CREATE TABLE rlm_bootstrap_head(query_version INTEGER PRIMARY KEY, progress TEXT, estimate REAL);
"""


def create_tables(connection: apsw.Connection, meta: Mapping[str, SystemValue], at: int) -> None:
    """Make all private tables inside the caller's transaction, and the first version, ``at`` in Unix milliseconds."""
    catalogue.create_system_tables(connection)
    connection.execute(_TABLES)
    connection.executemany("INSERT INTO rlm_meta VALUES(?, ?)", meta.items())
    connection.execute("INSERT INTO rlm_commit VALUES(?, ?, 0, x'')", (FIRST_VERSION, at))


def meta_value(connection: apsw.Connection, key: str) -> SystemValue:
    """A value about the file as a whole, or None."""
    return _first(connection.execute("SELECT v FROM rlm_meta WHERE k = ?", (key,)))


def set_meta_value(connection: apsw.Connection, key: str, value: SystemValue) -> None:
    """Store it in the caller's write transaction; None removes it."""
    if value is None:
        connection.execute("DELETE FROM rlm_meta WHERE k = ?", (key,))
    else:
        connection.execute("INSERT OR REPLACE INTO rlm_meta VALUES(?, ?)", (key, value))


def sync_value(connection: apsw.Connection, key: str) -> SystemValue:
    """A value that sync keeps with the file, or None."""
    return _first(connection.execute("SELECT v FROM rlm_sync WHERE k = ?", (key,)))


def set_sync_value(connection: apsw.Connection, key: str, value: SystemValue) -> None:
    """Store it in the caller's write transaction; None removes it."""
    if value is None:
        connection.execute("DELETE FROM rlm_sync WHERE k = ?", (key,))
    else:
        connection.execute("INSERT OR REPLACE INTO rlm_sync VALUES(?, ?)", (key, value))


def _first(rows: apsw.Cursor) -> SystemValue:
    row = rows.fetchone()
    value: SystemValue = row[0] if row is not None else None
    return value
