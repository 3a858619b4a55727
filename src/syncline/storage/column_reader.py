"""Reading by column: properties of many objects at once, without an object for each (spec/sdk.md §12.7).

Every function reads through ``reader``, whose lock the caller holds, with one statement.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, Final

import apsw

from syncline.collector import COLLECTOR_PAUSED
from syncline.storage.catalogue import ClassInfo, PropertyInfo
from syncline.storage.columns import decode, key_from_columns, text_from_sql
from syncline.storage.reader import Reader
from syncline.storage.row_shape import RowShape
from syncline.values import Key
from syncline.values.kinds import DICTIONARY_COLLECTION, LINK, LIST_COLLECTION, SET_COLLECTION

__all__ = ["keys_of", "read_collections", "read_columns"]

#: From this share of a class on all of it is read: one object in so many.
_SHARE: Final = 8


def read_columns(
    reader: Reader, cls: ClassInfo, keys: Sequence[int] | None, props: Sequence[PropertyInfo]
) -> tuple[list[int], list[list[Any]]]:
    """The keys of those objects that exist, in their order, and for each property with a single value its values.

    ``keys`` None: all objects, in the order of their keys.
    """
    with COLLECTOR_PAUSED:
        existing, *values = RowShape(cls, props).columns(reader, keys)
    return existing, values


def keys_of(reader: Reader, cls: ClassInfo, keys: Sequence[int]) -> dict[int, Key]:
    """The primary keys (or GlobalKeys) of the objects that exist, by object key."""
    names = ["ghi", "glo"] if cls.primary_key is None else list(cls.primary_key.columns)
    wanted = set(keys)
    rows = _query(reader, cls.table, "k", names, keys, "")
    return {row[0]: key_from_columns(cls.primary_key, row[1:]) for row in rows if row[0] in wanted}


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
    parameters = (apsw.carray(array("q", keys)),) if keys else ()
    condition = f" WHERE {column} IN carray(?)" if keys else " WHERE 0"  # an array for SQLite has elements
    return connection.execute(select + condition + order, parameters).fetchall()
