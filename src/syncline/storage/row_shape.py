"""RowShape: rows of one class as somebody wants them, many with one statement (spec/sdk.md §13.3).

A row is what SQLite gives, a tuple: the object key, then one value for each property asked for, in that order. What
SQLite does not give as it is (dates, decimals, links, Mixed …) is decoded in its place; columns that only this needs
follow at the end. So a class of numbers and texts costs nothing beyond the query.

Every method reads through ``reader``, whose connection's lock the caller holds.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, Final, TypeAlias, cast

import apsw

from syncline.storage.catalogue import ClassInfo, PropertyInfo
from syncline.storage.columns import Cell, check_key, decode, decode_scalar, key_to_columns
from syncline.storage.reader import Reader
from syncline.values import Key
from syncline.values.kinds import BINARY, BOOL, DOUBLE, FLOAT, INT, STRING

__all__ = ["RowShape", "ValueRow"]

#: The object key, the values of the properties, and perhaps columns that were decoded.
ValueRow: TypeAlias = "tuple[Any, ...]"

_AS_IT_IS: Final = 0
#: As it is, unless SQLite had to keep it as a blob: text that is not UTF-8, NaN.
_MAYBE_BLOB: Final = 1
_TRUTH: Final = 2
#: One column that has to be decoded.
_SCALAR: Final = 3
#: Several columns, or a link.
_CELL: Final = 4


class RowShape:
    """Reads rows of ``cls`` with the values of ``props``, which have single values."""

    def __init__(self, cls: ClassInfo, props: Sequence[PropertyInfo]) -> None:
        self.info = cls
        self._props = list(props)
        self._ways: list[int] = []
        #: where the columns of a property with several are in a row
        self._cells: list[list[int]] = []
        columns = ["k", *[prop.columns[0] for prop in props]]
        for number, prop in enumerate(self._props):
            self._ways.append(_way(prop))
            self._cells.append([number + 1, *range(len(columns), len(columns) + len(prop.columns) - 1)])
            columns += prop.columns[1:]
        #: places of values that have to be looked at, and of those that have to be decoded
        self._suspects = [place + 1 for place, way in enumerate(self._ways) if way == _MAYBE_BLOB]
        self._strangers = [place + 1 for place, way in enumerate(self._ways) if way > _MAYBE_BLOB]
        #: columns of a row of the class (:class:`ClassInfo`) in the order of this one
        self._order = [cls.columns.index(name) for name in columns]
        names = ", ".join(columns)
        own = ", ".join([f"c.{name}" for name in columns])
        self._all_sql = f"SELECT {names} FROM {cls.table} ORDER BY k"
        self._range_sql = f"SELECT {names} FROM {cls.table} WHERE k > ? AND k <= ? ORDER BY k LIMIT ?"
        self._keys_sql = f"SELECT {own} FROM carray(?) q CROSS JOIN {cls.table} c ON c.k = q.value"
        self._one_sql = f"SELECT {names} FROM {cls.table} WHERE k = ?"
        key = cls.primary_key
        self._find_sql = "" if key is None else f"SELECT {names} FROM {cls.table} WHERE {key.columns[0]} = ?"
        self._find_null_sql = "" if key is None else f"SELECT {names} FROM {cls.table} WHERE {key.columns[0]} IS NULL"

    @property
    def width(self) -> int:
        """How many properties there are."""
        return len(self._props)

    def narrowed(self, slots: Sequence[int]) -> RowShape:
        """Rows with the values in these places of a row alone."""
        return RowShape(self.info, [self._props[slot - 1] for slot in slots])

    def all(self, reader: Reader) -> list[ValueRow]:
        """All rows, in the order of their keys."""
        reader.flush()
        return self._decoded(reader.tables.query(self._all_sql))

    def after(self, reader: Reader, last: int, end: int, limit: int) -> list[ValueRow]:
        """The first rows in the order of their keys, from above ``last`` up to ``end``."""
        reader.flush()
        return self._decoded(reader.tables.query(self._range_sql, (last, end, limit)))

    def by_keys(self, reader: Reader, keys: Sequence[int]) -> list[ValueRow]:
        """The rows of the objects that exist, in the order of ``keys``, each as often as its key is there."""
        if not keys:
            return []  # an array for SQLite has elements
        reader.flush()
        return self._decoded(reader.tables.query(self._keys_sql, (_numbers(keys),)))

    def columns(self, reader: Reader, keys: Sequence[int] | None) -> list[list[Any]]:
        """The rows of :meth:`by_keys`, or of :meth:`all` for None, by column: the object keys, then the values."""
        columns: list[list[Any]] = [[] for _ in range(1 + len(self._props))]
        if keys is not None and not keys:
            return columns
        reader.flush()
        sql, parameters = (self._all_sql, ()) if keys is None else (self._keys_sql, (_numbers(keys),))
        # row by row: a list of all rows would be new memory for each of them
        for row in reader.connection.execute(sql, parameters):
            values: ValueRow = row
            if self._strangers:
                values = self._decode(values)
            else:
                for place in self._suspects:
                    if type(values[place]) is bytes:
                        values = self._decode(values)
            for place in range(len(columns)):
                columns[place].append(values[place])
        return columns

    def one(self, reader: Reader, k: int) -> ValueRow:
        """The row of an object; buffers of a write transaction are looked into. Raises InvalidatedObjectError."""
        cells = reader.tables.row(self.info, k)
        return self._decoded([tuple([cells[place] for place in self._order])])[0]

    def find(self, reader: Reader, key: Key) -> ValueRow | None:
        """The row of the object with that primary key, with one statement; None if there is none.

        Only for a version that does not change. Raises TypeMismatchError, LimitExceededError for what cannot be a key.
        """
        check_key(self.info.name, self.info.primary_key, key)
        if key is None:
            rows = reader.tables.query(self._find_null_sql)
        else:
            rows = reader.tables.query(self._find_sql, key_to_columns(key))
        return self._decoded(rows)[0] if rows else None

    def _decoded(self, rows: list[Cell]) -> list[ValueRow]:
        found = cast("list[ValueRow]", rows)
        if self._strangers:
            for number in range(len(found)):
                found[number] = self._decode(found[number])
        elif self._suspects:
            for place in self._suspects:
                for number in range(len(found)):
                    if type(found[number][place]) is bytes:
                        found[number] = self._decode(found[number])
        return found

    def _decode(self, row: ValueRow) -> ValueRow:
        values = list(row)
        for place in self._suspects:
            if type(values[place]) is bytes:
                values[place] = decode_scalar(self._props[place - 1].type, values[place])
        for place in self._strangers:
            raw = values[place]
            if raw is None:
                continue
            way = self._ways[place - 1]
            prop = self._props[place - 1]
            if way == _TRUTH:
                values[place] = raw != 0
            elif way == _SCALAR:
                values[place] = decode_scalar(prop.type, raw)
            else:
                values[place] = decode(prop, tuple([row[column] for column in self._cells[place - 1]]))
        return tuple(values)


def _numbers(keys: Sequence[int]) -> Any:
    """Keys as SQLite takes them as a table. There must be some."""
    return apsw.carray(keys if isinstance(keys, array) else array("q", keys))


def _way(prop: PropertyInfo) -> int:
    """How a value of the property comes from its columns."""
    if prop.type in (INT, BINARY):
        return _AS_IT_IS
    if prop.type in (STRING, DOUBLE, FLOAT):
        return _MAYBE_BLOB
    if prop.type == BOOL:
        return _TRUTH
    return _SCALAR if prop.plain or prop.is_primary_key else _CELL
