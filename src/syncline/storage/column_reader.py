"""Reading by column: properties of many objects at once, without an object for each (spec/sdk.md §12.7).

Where most objects of a class are wanted its table is read from beginning to end, otherwise the rows by their keys, many
in a query. Every function reads through ``reader``, whose lock the caller holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, Final

from syncline.collector import COLLECTOR_PAUSED
from syncline.storage.catalogue import ClassInfo, PropertyInfo
from syncline.storage.columns import Value, decode, key_from_columns, text_from_sql
from syncline.storage.reader import Reader
from syncline.values import Key
from syncline.values.kinds import (
    BINARY,
    BOOL,
    DICTIONARY_COLLECTION,
    DOUBLE,
    FLOAT,
    INT,
    LINK,
    LIST_COLLECTION,
    SET_COLLECTION,
    STRING,
)

__all__ = ["keys_of", "read_collections", "read_columns"]

_first: Final = itemgetter(0)

#: Objects asked for in one query.
_BATCH: Final = 512
#: From this share of a class on all of it is read: one object in so many.
_SHARE: Final = 8

#: Types whose values SQLite gives back as they are, but for text and numbers that it has to keep as blobs.
_AS_THEY_ARE: Final = frozenset({INT, BINARY, STRING, DOUBLE, FLOAT})
_MAYBE_BLOBS: Final = frozenset({STRING, DOUBLE, FLOAT})


def read_columns(
    reader: Reader, cls: ClassInfo, keys: Sequence[int], props: Sequence[PropertyInfo]
) -> tuple[list[int], list[list[Any]]]:
    """The keys of those objects that exist, in their order, and for each property with a single value its values."""
    with COLLECTOR_PAUSED:
        rows = _rows(reader, cls, keys, [name for prop in props for name in prop.columns])
        if not rows:
            return [], [[] for _ in props]
        columns = list(zip(*rows, strict=True))
    values = []
    place = 1
    for prop in props:
        width = len(prop.columns)
        values.append(_decoded(prop, columns[place : place + width]))
        place += width
    return list(columns[0]), values


def keys_of(reader: Reader, cls: ClassInfo, keys: Sequence[int]) -> dict[int, Key]:
    """The primary keys (or GlobalKeys) of the objects that exist, by object key."""
    names = ["ghi", "glo"] if cls.primary_key is None else list(cls.primary_key.columns)
    return {row[0]: key_from_columns(cls.primary_key, row[1:]) for row in _rows(reader, cls, keys, names)}


def read_collections(reader: Reader, prop: PropertyInfo, owners: Sequence[int]) -> dict[int, Any]:
    """What a list, set or dictionary property holds, by owner; owners without elements are left out.

    Lists and sets are lists of values, a set's in its order; a dictionary is one. Links to what does not exist are left
    out; in a dictionary they are None.
    """
    table = prop.table
    assert table is not None
    names = [table.place, *table.columns] if table.place not in table.columns else list(table.columns)
    cells_at = names.index(table.columns[0]) + 1
    wanted = set(owners)
    found: dict[int, Any] = {}
    hides = prop.type == LINK and prop.collection in (LIST_COLLECTION, SET_COLLECTION)
    keyed = prop.collection == DICTIONARY_COLLECTION
    for row in _query(reader, table.name, table.owner, names, owners, f" ORDER BY {table.owner}, {table.place}"):
        if row[0] not in wanted:
            continue
        cell = row[cells_at:]
        if hides and cell[0] < 0:
            continue
        if keyed:
            found.setdefault(row[0], {})[text_from_sql(row[1])] = decode(prop, cell)
        else:
            found.setdefault(row[0], []).append(decode(prop, cell))
    return found


def _rows(reader: Reader, cls: ClassInfo, keys: Sequence[int], names: Sequence[str]) -> list[tuple[Any, ...]]:
    """Object key and columns of the objects that exist, in the order of ``keys``."""
    rows = _query(reader, cls.table, "k", names, keys, " ORDER BY k")
    if len(rows) == len(keys) and list(map(_first, rows)) == list(keys):
        return rows
    found = {row[0]: row for row in rows}
    return [found[key] for key in keys if key in found]


def _query(
    reader: Reader, table: str, column: str, names: Sequence[str], keys: Sequence[int], order: str
) -> list[tuple[Any, ...]]:
    """Rows for all ``keys``, perhaps for others too."""
    reader.flush()
    connection = reader.connection
    select = f"SELECT {', '.join([column, *names])} FROM {table}"
    size: Any = connection.execute(f"SELECT max({column}) FROM {table}").fetchall()[0][0]
    if size is None:
        return []
    if len(keys) * _SHARE >= size:
        return connection.execute(select + order).fetchall()
    rows: list[tuple[Any, ...]] = []
    marks = ",".join("?" * _BATCH)
    ordered = sorted(set(keys))
    for start in range(0, len(ordered), _BATCH):
        batch = ordered[start : start + _BATCH]
        batch += batch[-1:] * (_BATCH - len(batch))  # one statement for all sizes
        rows += connection.execute(f"{select} WHERE {column} IN ({marks}){order}", batch).fetchall()
    return rows


def _decoded(prop: PropertyInfo, columns: Sequence[Sequence[Any]]) -> list[Value]:
    first = columns[0]
    kind = prop.type
    if kind in _AS_THEY_ARE and not (kind in _MAYBE_BLOBS and bytes in set(map(type, first))):
        return list(first)
    if kind == BOOL:
        return [None if value is None else value != 0 for value in first]
    cells: Iterable[tuple[Any, ...]] = zip(*columns, strict=True)
    return [decode(prop, cell) for cell in cells]
