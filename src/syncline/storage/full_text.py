"""The full-text index: which objects have which words, in a table for each property that has one (spec/sdk.md §13.6).

Whatever writes a text, its row passes :class:`~syncline.storage.rows.ClassRows` on its way to SQLite. That is the one
place where words are kept: with the rows, in the same statement batches, so that the two agree at every moment and are
rolled back together. A file that was made before there were such tables gets them when it is opened for writing
(:func:`complete`); until then its searches look at every text.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Final, cast

import apsw

from syncline.query.full_text import tokens_of

__all__ = ["WordTable", "complete", "missing"]

#: Rows that go to SQLite, or texts that are compared, at once.
_ROWS_MAX: Final = 20_000
_TEXTS_MAX: Final = 1_000

#: The properties that have a full-text index, single strings, and no table for it.
_MISSING: Final = (
    "SELECT id, class FROM rlm_prop WHERE idx = 2 AND type = 2 AND flags IN (0, 64) AND NOT EXISTS "
    "(SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'ft' || rlm_prop.id)"
)

#: A word of a text, and the object that has the text.
_Row = tuple[str, int]


class WordTable:
    """The table ``ft<property>(tok, o)``: object ``o`` has the word ``tok`` in the text of one property."""

    def __init__(self, property_id: int, class_id: int) -> None:
        self.name = f"ft{property_id}"
        self._insert_sql = f"INSERT OR IGNORE INTO {self.name}(tok, o) VALUES(?, ?)"
        self._delete_sql = f"DELETE FROM {self.name} WHERE tok = ? AND o = ?"
        self._texts_sql = f"SELECT k, p{property_id} FROM c{class_id}"

    def create(self, connection: apsw.Connection) -> None:
        """Make the table, with the words of all texts that there are."""
        connection.execute(f"CREATE TABLE {self.name}(tok TEXT, o INT, PRIMARY KEY(tok, o)) WITHOUT ROWID")
        self.add(connection.cursor(), connection.execute(self._texts_sql))

    def drop(self, connection: apsw.Connection) -> None:
        """Remove the table."""
        connection.execute(f"DROP TABLE {self.name}")

    def add(self, cursor: apsw.Cursor, texts: Iterable[tuple[object, ...]]) -> None:
        """New objects have these texts: (object, as SQLite has it)."""
        rows: list[_Row] = []
        for k, text in texts:
            for word in _words(text):
                rows.append((word, cast(int, k)))
            if len(rows) >= _ROWS_MAX:
                self._write(cursor, self._insert_sql, rows)
                rows = []
        self._write(cursor, self._insert_sql, rows)

    def replace(self, cursor: apsw.Cursor, texts: dict[int, object]) -> None:
        """Objects get other texts (object → as SQLite is about to have it, None if the object goes).

        SQLite still has those from before.
        """
        objects = list(texts)
        for start in range(0, len(objects), _TEXTS_MAX):
            batch = array("q", objects[start : start + _TEXTS_MAX])
            stored = f"{self._texts_sql} WHERE k IN (SELECT value FROM carray(?))"
            old_rows: list[_Row] = []
            new_rows: list[_Row] = []
            for number, old in cursor.execute(stored, (apsw.carray(batch),)).fetchall():
                k = cast(int, number)
                new = texts[k]
                if old == new:
                    continue
                before, after = _words(old), _words(new)
                for word in before - after:
                    old_rows.append((word, k))
                for word in after - before:
                    new_rows.append((word, k))
            self._write(cursor, self._delete_sql, old_rows)
            self._write(cursor, self._insert_sql, new_rows)

    def _write(self, cursor: apsw.Cursor, sql: str, rows: list[_Row]) -> None:
        if rows:
            rows.sort()  # neighbours in the table one after the other
            cursor.executemany(sql, rows)

    def faults(self, connection: apsw.Connection) -> list[str]:
        """Where the table says something else than the texts, in words; nothing in a sound file."""
        wanted = {(word, k) for k, text in connection.execute(self._texts_sql) for word in _words(text)}
        present = set(connection.execute(f"SELECT tok, o FROM {self.name}"))
        missing = [f"{self.name} lacks the word {word!r} of object {k}" for word, k in sorted(wanted - present)]
        return missing + [
            f"{self.name} has the word {word!r} for object {k}, whose text has not"
            for word, k in sorted(present - wanted)
        ]


def _words(text: object) -> set[str]:
    """The words of a text as SQLite has it: what is not UTF-8 is stored as bytes."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    return tokens_of(text) if isinstance(text, str) and text else set()


def missing(connection: apsw.Connection) -> list[WordTable]:
    """The tables that a file should have and has not, because it was made before there were any."""
    return [WordTable(id, class_id) for id, class_id in connection.execute(_MISSING)]


def complete(connection: apsw.Connection) -> None:
    """Make the :func:`missing` tables, in the caller's transaction; what was read of the schema is void then."""
    tables = missing(connection)
    for table in tables:
        table.create(connection)
    if tables:
        connection.execute("UPDATE rlm_meta SET v = v + 1 WHERE k = 'catalogue'")
