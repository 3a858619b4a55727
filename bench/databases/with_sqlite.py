"""SQLite with nothing around it: Python's own module, and apsw (the build of SQLite that Syncline uses as well)."""

from __future__ import annotations

import sqlite3
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import apsw

from databases.base import Database
from databases.data import Row, Totals, totals

_SCHEMA = """
CREATE TABLE IF NOT EXISTS reading(
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, number INTEGER NOT NULL, value REAL NOT NULL);
CREATE INDEX IF NOT EXISTS reading_number ON reading(number);
"""
_INSERT = "INSERT INTO reading VALUES (?, ?, ?, ?)"


class Rows(Database):
    """Statements and tuples; both modules understand the same calls."""

    connection: Any

    @abstractmethod
    def connect(self, path: str) -> None:
        """Set ``connection``, which begins no transaction by itself, and make tables that are missing."""

    def open(self) -> None:
        self.connect(str(self.folder / "readings.sqlite"))

    def close(self) -> None:
        self.connection.close()

    def insert_single(self, rows: Sequence[Row]) -> None:
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        for row in rows:
            execute(_INSERT, row)
        execute("COMMIT")

    def insert_bulk(self, rows: Sequence[Row]) -> None:
        self._many(_INSERT, rows)

    def update(self, changes: Sequence[tuple[int, float]]) -> None:
        self._many("UPDATE reading SET value = ?2 WHERE id = ?1", changes)

    def _many(self, statement: str, bindings: Sequence[Any]) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany(statement, bindings)
        self.connection.execute("COMMIT")

    def delete(self, first: int, last: int) -> None:
        self.connection.execute("DELETE FROM reading WHERE id BETWEEN ? AND ?", (first, last))

    def get(self, keys: Iterable[int]) -> Totals:
        execute = self.connection.execute
        return totals(execute("SELECT * FROM reading WHERE id = ?", (key,)).fetchone() for key in keys)

    def objects_all(self) -> Totals:
        return totals(self.connection.execute("SELECT * FROM reading"))

    def objects_one(self) -> float:
        return sum(value for (value,) in self.connection.execute("SELECT value FROM reading"))

    def filter_indexed(self, below: int) -> tuple[int, int]:
        return self._keys("SELECT * FROM reading WHERE number < ?", below)

    def filter_plain(self, below: float) -> tuple[int, int]:
        return self._keys("SELECT * FROM reading WHERE value < ?", below)

    def _keys(self, statement: str, below: float) -> tuple[int, int]:
        keys = [row[0] for row in self.connection.execute(statement, (below,))]
        return len(keys), sum(keys)

    def sort(self, take: int) -> list[int]:
        return [row[0] for row in self.connection.execute("SELECT * FROM reading ORDER BY name LIMIT ?", (take,))]

    def count(self) -> int:
        (count,) = self.connection.execute("SELECT count(*) FROM reading").fetchone()
        return int(count)


class Sqlite3(Rows):
    """``sqlite3`` of the standard library."""

    @classmethod
    def version(cls) -> str:
        return f"SQLite {sqlite3.sqlite_version} under sqlite3, SQLAlchemy and peewee"

    def connect(self, path: str) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" + _SCHEMA)


class Apsw(Rows):
    """``apsw``."""

    packages = ("apsw-sqlite3mc",)

    @classmethod
    def version(cls) -> str:
        return f"SQLite {apsw.sqlite_lib_version()} under apsw and Syncline"

    def connect(self, path: str) -> None:
        self.connection = apsw.Connection(path)
        self.connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" + _SCHEMA).fetchall()
