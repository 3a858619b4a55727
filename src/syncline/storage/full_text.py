"""The full-text index: which objects have which words, in a table for each property that has one (spec/sdk.md §13.6).

Whatever writes a text, its row passes :class:`~syncline.storage.rows.ClassRows` on its way to SQLite. That is the one
place where words are kept: with the rows, in the same statement batches, so that the two agree at every moment and are
rolled back together. A file that was made before there were such tables gets them when it is opened for writing
(:func:`complete`); until then its searches look at every text.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Any, Final, cast

import apsw

from syncline.query.full_text import tokens_of

__all__ = ["WordTable", "complete", "missing"]

#: Words of texts that wait to be written, and texts that are compared at once.
_WAITING_MAX: Final = 200_000
_TEXTS_MAX: Final = 1_000
#: Objects with the same word that are written by a statement each.
_SINGLY: Final = 2

#: The properties that have a full-text index, single strings, and no table for it.
_MISSING: Final = (
    "SELECT id, class FROM rlm_prop WHERE idx = 2 AND type = 2 AND flags IN (0, 64) AND NOT EXISTS "
    "(SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'ft' || rlm_prop.id)"
)

#: Which objects have a word, by word.
_Objects = dict[str, list[int]]


class WordTable:
    """The table ``ft<property>(tok, o)``: object ``o`` has the word ``tok`` in the text of one property."""

    def __init__(self, property_id: int, class_id: int) -> None:
        self.name = f"ft{property_id}"
        self._insert_sql = f"INSERT OR IGNORE INTO {self.name}(tok, o) VALUES(?, ?)"
        self._insert_many_sql = f"INSERT OR IGNORE INTO {self.name}(tok, o) SELECT ?, value FROM carray(?)"
        self._delete_sql = f"DELETE FROM {self.name} WHERE tok = ? AND o = ?"
        self._delete_many_sql = f"DELETE FROM {self.name} WHERE tok = ? AND o IN (SELECT value FROM carray(?))"
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
        having: _Objects = {}
        waiting = 0
        for k, text in texts:
            waiting += _note(having, cast(int, k), _words(text))
            if waiting >= _WAITING_MAX:
                self._insert(cursor, having)
                having = {}
                waiting = 0
        self._insert(cursor, having)

    def replace(self, cursor: apsw.Cursor, texts: dict[int, object]) -> None:
        """Objects get other texts (object → as SQLite is about to have it, None if the object goes).

        SQLite still has those from before.
        """
        objects = list(texts)
        stored = f"{self._texts_sql} WHERE k IN (SELECT value FROM carray(?))"
        losing: _Objects = {}
        having: _Objects = {}
        waiting = 0
        for start in range(0, len(objects), _TEXTS_MAX):
            batch = array("q", objects[start : start + _TEXTS_MAX])
            for number, old in cursor.execute(stored, (apsw.carray(batch),)).fetchall():
                k = cast(int, number)
                new = texts[k]
                if old != new:
                    before, after = _words(old), _words(new)
                    waiting += _note(losing, k, before - after) + _note(having, k, after - before)
            if waiting >= _WAITING_MAX:
                self._delete(cursor, losing)
                self._insert(cursor, having)
                losing, having = {}, {}
                waiting = 0
        self._delete(cursor, losing)
        self._insert(cursor, having)

    def _insert(self, cursor: apsw.Cursor, objects: _Objects) -> None:
        _write(cursor, objects, self._insert_sql, self._insert_many_sql)

    def _delete(self, cursor: apsw.Cursor, objects: _Objects) -> None:
        _write(cursor, objects, self._delete_sql, self._delete_many_sql)

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


def _note(objects: _Objects, k: int, words: set[str]) -> int:
    """Note that object ``k`` has the words; how many they are."""
    for word in words:
        known = objects.get(word)
        if known is None:
            objects[word] = [k]
        else:
            known.append(k)
    return len(words)


def _write(cursor: apsw.Cursor, objects: _Objects, one_sql: str, many_sql: str) -> None:
    """Insert or delete rows, word by word: neighbours in the table one after the other."""
    ones: list[tuple[str, int]] = []
    many: list[tuple[str, Any]] = []
    for word in sorted(objects):
        having = objects[word]
        if len(having) <= _SINGLY:
            ones.extend([(word, k) for k in having])
        else:
            many.append((word, apsw.carray(array("q", having))))
    if ones:
        cursor.executemany(one_sql, ones)
    if many:
        cursor.executemany(many_sql, many)


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
